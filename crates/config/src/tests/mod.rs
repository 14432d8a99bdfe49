//! Tests of the configuration as a whole; those of single rules are next to the code.

mod conformance;
mod corpus;
mod difference;
mod example;
mod layering;
mod messages;
mod network;
mod reading;
mod robustness;
mod schemas;
mod secrets;
mod shown;
mod support;
mod suspicious;
