//! A connector whose target is an application with a REST interface.

mod template;
