//! Tests of the runtime as a whole.

mod instructions;
