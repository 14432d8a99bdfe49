"""Serves SCIM from memory with scim2-server, configured by a test.

The first argument is a JSON object: port, token, reader (a read-only token), initial users and groups,
members (of each group), config (merged over the default ServiceProviderConfig), groups_on_users.
"""

import json
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from scim2_models import ForbiddenException, ScimProvider, ServiceProviderConfig, UnauthorizedException
from scim2_server.memory import InMemoryStorage
from scim2_server.routing import Operation
from scim2_server.service import ScimService
from scim2_server.testserver.application import BEARER_TOKEN_SCHEME, BearerTokenApplication
from scim2_server.utils import (
    load_default_resource_types,
    load_default_schemas,
    load_default_service_provider_config,
)

WANTED = json.loads(sys.argv[1])
WRITES = {Operation.create, Operation.replace, Operation.patch, Operation.delete}


class Service(ScimService):
    """Adds a read-only token, and users that show their groups."""

    storage = None

    def authorize(self, request, target, resource_type):
        token = (request.header("Authorization") or "").removeprefix("Bearer ")
        if token == WANTED["reader"] and target.operation in WRITES:
            raise ForbiddenException

    def publish(self, base_url, resource):
        published = super().publish(base_url, resource)
        if WANTED["groups_on_users"] and published.meta.resource_type == "User":
            kind = type(published).model_fields["groups"].annotation
            published.groups = [
                group_of(kind, group)
                for group in self.storage.resources
                if group.meta.resource_type == "Group"
                and any(member.value == published.id for member in group.members or [])
            ] or None
        return published


def group_of(kind, group):
    while not isinstance(kind, type):
        kind = kind.__args__[0]
    return kind(value=group.id, display=group.display_name, type="direct")


class Application(BearerTokenApplication):
    def check_auth(self, request):
        token = (request.header("Authorization") or "").removeprefix("Bearer ")
        if token not in (WANTED["token"], WANTED["reader"]):
            raise UnauthorizedException


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def fill(service, storage):
    users = service.get_resource_type("User")
    groups = service.get_resource_type("Group")
    user_model, group_model = service.get_model(users), service.get_model(groups)
    ids = []
    for number in range(WANTED["users"]):
        user = {
            "userName": f"user-{number:05}",
            "displayName": f"User {number}",
            "name": {"givenName": "User", "familyName": str(number)},
            "emails": [{"value": f"user-{number:05}@example.com", "type": "work", "primary": True}],
            "active": True,
        }
        ids.append(storage.create(users, user_model.model_validate(user)).id)
    for number in range(WANTED["groups"]):
        first = number * WANTED["members"]
        members = [{"value": ids[place % len(ids)]} for place in range(first, first + WANTED["members"])] if ids else []
        group = {"displayName": f"group-{number:03}", "members": members}
        storage.create(groups, group_model.model_validate(group))


def main():
    config = load_default_service_provider_config().model_dump()
    for name, value in WANTED["config"].items():
        config[name] = {**config.get(name, {}), **value}
    config = ServiceProviderConfig.model_validate(config)
    config.authentication_schemes = [BEARER_TOKEN_SCHEME]
    provider = ScimProvider.from_discovery(
        load_default_schemas().values(), load_default_resource_types().values(), config=config
    )
    service = Service(provider, secret="the cursors of a test")
    storage = service.storage = InMemoryStorage()
    fill(service, storage)
    application = Application(storage, provider, service=service)
    with make_server("127.0.0.1", WANTED["port"], application, server_class=Server, handler_class=Quiet) as server:
        print("ready", flush=True)
        server.serve_forever()


main()
