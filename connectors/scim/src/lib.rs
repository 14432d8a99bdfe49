//! A connector whose target is an application that speaks SCIM 2.0.
