//! The auditor's room: what crosses a boundary between parties, or must be agreed bit for bit.
//!
//! Read in this order; every file imports only files above it in this list.
//!
//! | file | question it answers |
//! |---|---|
//! | [`limits`] | how large may anything be? |
//! | [`label`] | which string separates each use of a key or digest? |
//! | [`secret`], [`primitive`] | how are secrets held; which standard algorithms are used? |
//! | [`ids`] | how are parties, datasets, handles and tags named? |
//! | [`codec`] | how are bytes read without trusting them? |
//! | [`refusal`] | which refusals exist, and which exit code does each have? |
//! | [`field`] | how does a raw value become a normal form? |
//! | [`agreement`] | what did the parties agree on, and is it in force? |
//! | [`match_key`] | which bytes enter the lock for one match key of one person? |
//! | [`lock`] | how do a token and the register's secret become tags and payload keys? |
//! | [`identity`], [`keyfile`] | who is a party, and how does its secret rest on disk? |
//! | [`header`], [`envelope`] | how does a message travel? |
//! | [`epoch`] | which key do the custodians hold in an epoch? |
//! | [`message`] | what do kit, submission, result, receipt and ticket contain? |
//! | [`decision`] | what is a candidate pair, given which keys agree? |
//!
//! Invariants: no I/O beyond the `Read`/`Write` handed in, no clock, no randomness of its own, no
//! `unsafe`, none of our other crates. Nothing here prints, and no secret or person's value has a
//! `Debug` or `Serialize` implementation.
#![forbid(unsafe_code)]

pub mod agreement;
pub mod codec;
pub mod commitment;
pub mod decision;
pub mod envelope;
pub mod epoch;
pub mod field;
pub mod filter;
pub mod header;
pub mod identity;
pub mod ids;
pub mod keyfile;
pub mod label;
pub mod limits;
pub mod lock;
pub mod log;
pub mod match_key;
pub mod message;
pub mod primitive;
pub mod refusal;
pub mod secret;
