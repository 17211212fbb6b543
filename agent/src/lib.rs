//! The department's room, the only place with plaintext.
//!
//! | file | question it answers |
//! |---|---|
//! | [`source`] | how are files read as rows of text? |
//! | [`mapping`] | which columns and codes mean what? |
//! | [`quality`], [`quality_report`] | what should be corrected before anything leaves? |
//! | [`risk`] | how far can records be told apart by the pattern of their encodings? |
//! | [`record`], [`spool`], [`intake`] | how do rows become persons without memory in proportion? |
//! | [`encode`], [`extsort`], [`padding`], [`submit`] | how do persons become a submission? |
//! | [`content`], [`changes`] | what has changed since, and how is only that delivered? |
//! | [`roll`], [`sealed_file`] | what does the roll owner keep to read results? |
//! | [`commitment`] | whom has the roll been fixed to hold, and how is that shown? |
//! | [`refine`] | how alike are two records of a candidate pair?, under a key of the pair |
//! | [`receipt_sheet`] | what does a department file as proof that it delivered? |
//! | [`results`] | what does a result say, and which facts does it release? |
//! | [`disclosure`] | what do departments lay open about single records, and who decides it? |
//! | [`clue`] | which rules turn that into clues? |
//! | [`command`] | what does the command line offer? |
//!
//! Invariants: plaintext leaves only as tags and sealed payloads ([`encode`] is the last file that sees
//! it on its way out); nothing prints a value of a register; what rests on disk is sealed, except the
//! roll owner's own sheets. Imports protocol, keys and the doorstep.
#![forbid(unsafe_code)]

pub mod authorisation;
pub mod canary;
pub mod changes;
pub mod clue;
pub mod clusters;
pub mod command;
pub mod commitment;
pub mod content;
pub mod correction;
pub mod disclosure;
pub mod encode;
pub mod evaluation;
pub mod extsort;
pub mod filters;
pub mod intake;
pub mod mapping;
pub mod matches;
pub mod padding;
pub mod quality;
pub mod quality_report;
pub mod receipt_sheet;
pub mod record;
pub mod refine;
pub mod rehearsal;
pub mod results;
pub mod risk;
pub mod roll;
pub mod sealed_file;
pub mod source;
pub mod spool;
pub mod submit;
pub mod usual;
