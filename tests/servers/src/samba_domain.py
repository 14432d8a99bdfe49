"""Makes an Active Directory domain and fills it, by Samba's own library, as `samba-tool domain provision` does.

Arguments: a configuration that says where the domain is kept, the administrator's password, entries to add, and changes to
make, both as LDIF. Unlike the tool, it leaves the access lists of shared files alone: no file is shared here, and ordinary
users may not set them.
"""

import logging
import sys

from samba import dsdb
from samba.auth import system_session
from samba.param import LoadParm
from samba.provision import provision
from samba.samdb import SamDB

configuration, password, additions, changes = sys.argv[1:]
logger = logging.getLogger()
logger.addHandler(logging.StreamHandler(sys.stderr))
provision(
    logger,
    system_session(),
    smbconf=configuration,
    realm="TEST.LAN",
    domain="TEST",
    hostname="dc1",
    hostip="127.0.0.1",
    adminpass=password,
    serverrole="active directory domain controller",
    dom_for_fun_level=dsdb.DS_DOMAIN_FUNCTION_2008_R2,
    dns_backend="NONE",
    use_rfc2307=True,
    skip_sysvolacl=True,
)

parameters = LoadParm()
parameters.load(configuration)
database = SamDB(url=parameters.private_path("sam.ldb"), session_info=system_session(), lp=parameters)
database.transaction_start()
with open(additions, encoding="utf-8") as file:
    database.add_ldif(file.read())
with open(changes, encoding="utf-8") as file:
    database.modify_ldif(file.read())
database.transaction_commit()
