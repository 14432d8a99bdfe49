//! The SCIM connector against scim2-server, and against strict fakes for what that server cannot show.

mod conformance;
mod server;
mod support;
