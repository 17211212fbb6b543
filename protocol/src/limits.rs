//! Every maximum in one place: lengths, counts, sizes. In: nothing. Out: constants.
//! Invariant: a parser of received bytes compares with one of these before it allocates.
//! A limit is raised here and nowhere else; the specification quotes this file.
//! Specification: protocol/SPEC.md, "Limits".

/// Longest header of an envelope, in bytes.
pub const HEADER_BYTES_MAX: usize = 4096;
/// Longest agreement, mapping or rule file, in bytes.
pub const TEXT_FILE_BYTES_MAX: u64 = 4 << 20;
/// Longest state file of a party's own, in bytes.
pub const STATE_FILE_BYTES_MAX: u64 = 1 << 30;
/// Longest identifier of a party, dataset, field, key or rule, in bytes.
pub const ID_BYTES_MAX: usize = 64;
/// Plaintext bytes of one STREAM chunk (C2SP age uses the same 64 KiB).
pub const CHUNK_BYTES: usize = 64 << 10;
/// Largest body of an envelope, in bytes (1 TiB).
pub const BODY_BYTES_MAX: u64 = 1 << 40;
/// Largest manifest at the head of a body, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// Longest input of the lock for one match key, in bytes (design §5; RFC 9497 allows 65,535).
pub const KEY_INPUT_BYTES_MAX: usize = 512;
/// Most custodians of one agreement; keeps the whole-number Lagrange coefficients below 2³².
pub const CUSTODIANS_MAX: usize = 9;
/// Elements of one evaluation chunk, one proof each (RFC 9497 allows 65,535).
pub const EVALUATION_CHUNK: usize = 8192;
/// Evaluations per dataset and epoch where the agreement states no number: a twentieth of the 36.5 million identity numbers
/// of one area code. A register that needs more says so, and every party signs it.
pub const EVALUATIONS_DEFAULT_MAX: u64 = 2_000_000;
/// The same for a roll one of whose match keys allows for errors: room for the variants of 20,000 persons.
pub const EVALUATIONS_WITH_ERRORS_MAX: u64 = 4_000_000;
/// Records of a side at least where fields of record filters are weighed: of fewer too little is learnt of strangers.
pub const RECORDS_WEIGHED_LEAST: u64 = 300;
/// Identity numbers of one area code: 100 years of days and 1,000 sequence numbers each.
pub const NUMBERS_PER_AREA: u64 = 36_500_000;
/// Evaluation requests are padded to a multiple of this many elements (security.md §6.5).
pub const PAD_ELEMENTS: u64 = 4096;
/// Most parties of one agreement.
pub const PARTIES_MAX: usize = 256;
/// Most datasets of one agreement.
pub const DATASETS_MAX: usize = 1024;
/// Most match keys of one agreement: their agreement bitmap is 16 bits wide.
pub const MATCH_KEYS_MAX: usize = 16;
/// Most release sets of one agreement.
pub const RELEASES_MAX: usize = 8;
/// Values that a record of the roll may have of one match key.
pub const FAN_OUT_MAX: usize = 256;
/// Fewest bits of a record filter: in shorter ones invented bits come near persons' by chance.
pub const LIKENESS_BITS_MIN: u32 = 512;
/// Most bits of a record filter.
pub const LIKENESS_BITS_MAX: u32 = 4096;
/// Most compared fields of one agreement: their presence is a bitmap of 16 bits.
pub const COMPARISONS_MAX: usize = 16;
/// Requests for refinement are padded to a multiple of this many pairs.
pub const PAD_PAIRS: u64 = 512;
/// Fewest decoys of a request: they also measure how alike strangers are.
pub const DECOYS_MIN: u64 = 4096;
/// Part of an epoch's bound of pairs that one request may ask about: a year has four quarters.
pub const PAIRS_SHARE: u64 = 4;
/// Most fields of one agreement.
pub const FIELDS_MAX: usize = 64;
/// Longest raw value that a field kind looks at, in characters; longer ones are damaged.
pub const VALUE_CHARS_MAX: usize = 512;
/// Entries of a matcher's log at most: an agreement and epoch have thousands.
pub const LOG_ENTRIES_MAX: usize = 1 << 20;
/// Most records of a register that any agreement may have laid open in one epoch.
pub const DISCLOSED_MAX: u32 = 10_000;
/// Most records of one disclosure request, and of one answer.
pub const QUESTIONS_MAX: usize = 500;
/// Longest reason or remark of a disclosure answer, in characters.
pub const NOTE_CHARS_MAX: usize = 200;
/// Rows of every tag table are padded to a multiple of this (security.md §6.5).
pub const PAD_ROWS: u64 = 4096;
/// Most records that a delivery of changes may replace, add and take away; in smaller registers a quarter of the records.
pub const CHANGED_RECORDS_MAX: u64 = 500_000;
/// As many it may in a register of any size.
pub const CHANGED_RECORDS_LEAST: u64 = 1000;
/// Most fact rows kept per record; more are counted as left out (4 KiB hold fewer anyway).
pub const FACT_ROWS_MAX: usize = 1024;
/// Payload tables are padded to a multiple of this many rows.
pub const PAD_PAYLOAD_ROWS: u64 = 256;
/// Plaintext sizes of a payload, in bytes: a payload is padded to the smallest that holds it.
pub const PAYLOAD_CLASSES: [usize; 4] = [96, 256, 1024, 4096];
/// Largest cap of persons that may share one key value before it is dropped.
pub const MULTIPLICITY_CAP_MAX: u32 = 20;
/// Most rows of one dataset that any agreement may allow.
pub const ROWS_MAX: u64 = 2_000_000_000;

const _: () = assert!(HEADER_BYTES_MAX < CHUNK_BYTES);
const _: () = assert!(MATCH_KEYS_MAX <= 16);
const _: () = assert!(PAYLOAD_CLASSES[0] < PAYLOAD_CLASSES[1]);
const _: () = assert!(PAYLOAD_CLASSES[1] < PAYLOAD_CLASSES[2]);
const _: () = assert!(PAYLOAD_CLASSES[2] < PAYLOAD_CLASSES[3]);
