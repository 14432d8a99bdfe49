//! `bridgehead support`: what a report of a bug needs, in one archive, without secrets and without people.
//!
//! [`parts`] gathers the files, [`clean`] says what of them may stay, [`log`] reads systemd's journal, [`archive`] writes the result, and
//! [`command`] shows the list and asks.
//!
//! Nothing is searched for and taken out: what is not known to be harmless is not taken. A sentence of a target or of Iden may name
//! people in any form, so no sentence goes in; numbers, times, codes and the structure do.

mod archive;
mod clean;
mod command;
mod log;
mod parts;

pub(crate) use command::run;
