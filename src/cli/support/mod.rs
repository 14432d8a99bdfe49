//! `bridgehead support`: the data for a bug report in one archive, without secrets and without personal data.
//!
//! [`parts`] collects the files, [`clean`] decides what they may contain, [`log`] reads systemd's journal, [`archive`] writes the result,
//! and [`command`] shows the list and asks for confirmation.
//!
//! Cleaning does not search for sensitive data: everything that is not known to be harmless is left out. A sentence from a target or from
//! Iden may contain names in any form, so no sentence is included; numbers, times, codes and the structure are.

mod archive;
mod clean;
mod command;
mod log;
mod parts;

pub(crate) use command::run;
