//! A connector whose target is an LDAP directory.
