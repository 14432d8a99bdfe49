//! What the kit does not ask, against scim2-server.
