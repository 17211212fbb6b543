//! Refusals of received or configured things. In: the fact that was found. Out: message, exit code.
//! Invariant: one variant, one fact, one exit code; no variant carries a person's value.
//! A refusal writes nothing: whoever returns one has left every file as it was.
//! Specification: protocol/SPEC.md, "Refusals".

/// Inputs that a party writes itself; nobody else can send them again.
const OWN_FILES: [&str; 3] = ["gazetteer", "mapping", "rule file"];

/// Why a message, an agreement or a key file is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not in the form of its format.
    #[error("not a valid {what}: {why}")]
    Malformed {
        /// Which format was expected.
        what: &'static str,
        /// The first defect found.
        why: String,
    },
    /// Fewer bytes than its header announces.
    #[error("the file is cut off: {missing} bytes are missing")]
    Truncated {
        /// Bytes missing at the end.
        missing: u64,
    },
    /// More bytes or rows than its header, the limits or the agreement allow.
    #[error("too large: {what} is {found}, allowed are {allowed}")]
    Oversize {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: u64,
        /// The limit.
        allowed: u64,
    },
    /// The sender is no party of the agreement, or uses keys that the agreement does not name.
    #[error("the sender `{0}` with these keys is not a party of the agreement")]
    UnknownSender(String),
    /// Addressed to somebody else.
    #[error("addressed to `{0}`, not to this party")]
    WrongRecipient(String),
    /// Made under another agreement.
    #[error("made under another agreement (digest begins {0})")]
    WrongAgreement(String),
    /// Made for another epoch.
    #[error("made for epoch {found}, in force is epoch {expected}")]
    WrongEpoch {
        /// Epoch in force.
        expected: u32,
        /// Epoch of the message.
        found: u32,
    },
    /// Sequence number used before, or not above the last one accepted for the same dataset.
    #[error(
        "sequence number {found} is not above {last}, the last accepted from this sender for this dataset"
    )]
    WrongSequence {
        /// Last number accepted.
        last: u64,
        /// Number of the message.
        found: u64,
    },
    /// Same request identifier as an accepted message, other content.
    #[error("replays the request of an earlier message with other content")]
    Replay,
    /// The same file was accepted before.
    #[error("this very file was accepted before")]
    Duplicate,
    /// The signature does not verify.
    #[error("the signature does not verify: the file was changed or not made by its sender")]
    BadSignature,
    /// The body cannot be opened with this party's key.
    #[error("the body cannot be opened with this key")]
    Unreadable,
    /// Another type of message was expected here.
    #[error("a message of type `{found}` is not accepted here (expected: {expected})")]
    WrongType {
        /// Types accepted here.
        expected: &'static str,
        /// Type found.
        found: String,
    },
    /// Agreement not signed by every party, expired, not yet valid, or foreign.
    #[error("the agreement is not in force: {0}")]
    NotInForce(String),
    /// A proof, element or public share of a custodian does not hold.
    #[error("the custodian's answer cannot be trusted: {0}")]
    BadProof(String),
    /// More evaluations than the agreement allows.
    #[error("{found} evaluations are asked for, {left} are left in this epoch for `{dataset}`")]
    OverQuota {
        /// Dataset.
        dataset: String,
        /// Evaluations asked for.
        found: u64,
        /// Evaluations left.
        left: u64,
    },
    /// The matcher's log is not signed by it, or contradicts what was seen of it before.
    #[error("the matcher's log cannot be trusted: {0}")]
    BadLog(String),
    /// Changes to a delivery that is not here.
    #[error("it changes an earlier delivery that is not here")]
    MissingBase,
    /// The passphrase or the key file is wrong.
    #[error("the passphrase does not open this key file")]
    WrongPassphrase,
}

impl Refusal {
    /// Exit code of a process that ends with this refusal (README, "Exit codes").
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Malformed { .. } => 10,
            Self::Truncated { .. } => 11,
            Self::Oversize { .. } => 12,
            Self::UnknownSender(_) => 13,
            Self::WrongRecipient(_) => 14,
            Self::WrongAgreement(_) => 15,
            Self::WrongEpoch { .. } => 16,
            Self::WrongSequence { .. } => 17,
            Self::Replay => 18,
            Self::Duplicate => 19,
            Self::BadSignature => 20,
            Self::Unreadable => 21,
            Self::WrongType { .. } => 22,
            Self::NotInForce(_) => 23,
            Self::WrongPassphrase => 24,
            Self::BadProof(_) => 25,
            Self::OverQuota { .. } => 26,
            Self::BadLog(_) => 27,
            Self::MissingBase => 28,
        }
    }

    /// One line in Chinese for the person at the console.
    pub const fn headline_zh(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "文件格式不正确",
            Self::Truncated { .. } => "文件不完整",
            Self::Oversize { .. } => "超出规定上限",
            Self::UnknownSender(_) => "发送方不是协议签署方",
            Self::WrongRecipient(_) => "文件不是发给本单位的",
            Self::WrongAgreement(_) => "文件属于另一份协议",
            Self::WrongEpoch { .. } => "文件属于另一期次",
            Self::WrongSequence { .. } => "文件序号有误",
            Self::Replay => "请求编号重复而内容不同",
            Self::Duplicate => "该文件此前已接收",
            Self::BadSignature => "签名验证不通过",
            Self::Unreadable => "无法解密",
            Self::WrongType { .. } => "文件类型不符",
            Self::NotInForce(_) => "协议未生效",
            Self::WrongPassphrase => "口令不正确",
            Self::BadProof(_) => "密钥保管方的答复未通过验证",
            Self::OverQuota { .. } => "超出本期次的计算限额",
            Self::BadLog(_) => "核对中心的公开日志前后矛盾或未经其签名",
            Self::MissingBase => "变更所依据的上一次全量报送不在此处",
        }
    }

    /// What the person can do about it, in Chinese.
    pub fn advice_zh(&self) -> &'static str {
        match self {
            Self::Malformed { what, .. } if OWN_FILES.contains(what) => "请按提示修改该文件",
            Self::Malformed { .. } => "请核对是否拿错文件；若是对方发来的，请其重发",
            Self::Truncated { .. } => "文件未拷贝完整，请重新拷贝",
            Self::Oversize { .. } => "请对照协议中的上限；确需增加的，须重新签订协议",
            Self::UnknownSender(_) => "请对照协议的签署单位（agreement show）",
            Self::WrongRecipient(_) => "请转交文件所列单位",
            Self::WrongAgreement(_) => "双方须使用同一份已签署的协议（agreement show 可看摘要）",
            Self::WrongEpoch { .. } => "请对方按当前期次重新报送",
            Self::WrongSequence { .. } => "此前已接收该单位更新的文件，请索取最新的一份",
            Self::Replay => "请保留两份文件并报告审查方：正常情况下不会出现",
            Self::Duplicate => "无需处理，以首次接收的为准",
            Self::BadSignature => "请勿使用该文件，改用其他方式请对方重发",
            Self::Unreadable => "请核对是否使用了本单位的密钥文件",
            Self::WrongType { .. } => "请把文件交给相应的命令处理",
            Self::NotInForce(_) => "请用 agreement check 查看；各方须签署且在有效期内",
            Self::WrongPassphrase => "请重试；口令遗忘后无法找回，只能重新生成密钥",
            Self::BadProof(_) => {
                "未使用任何内容；请保留文件、报告审查方，并用 prepare --custodian 改请另一保管方"
            }
            Self::OverQuota { .. } => "未作任何计算；提高限额须重新签订协议（evaluations_max）",
            Self::BadLog(_) => "请勿使用该文件，保留全部文件并报告审查方",
            Self::MissingBase => "请接收此前的全量报送文件；已按期删除的，请对方重新全量报送",
        }
    }

    /// What the person can do about it, in English.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Malformed { what, .. } if OWN_FILES.contains(what) => {
                "correct the file as the message says"
            }
            Self::Malformed { .. } => {
                "check that the right file was given; ask the sender for it again"
            }
            Self::Truncated { .. } => "copy the file again; it did not arrive whole",
            Self::Oversize { .. } => {
                "compare with the caps in the agreement; a larger delivery needs a new agreement"
            }
            Self::UnknownSender(_) => "compare the party list: `agreement show`",
            Self::WrongRecipient(_) => "hand the file to the party it names",
            Self::WrongAgreement(_) => {
                "both sides must hold the same signed agreement: `agreement show` prints its digest"
            }
            Self::WrongEpoch { .. } => {
                "ask the sender to prepare the delivery for the epoch in force"
            }
            Self::WrongSequence { .. } => {
                "a newer message of this sender was accepted; ask for a new one"
            }
            Self::Replay => {
                "keep both files and tell the reviewer: this should not happen by accident"
            }
            Self::Duplicate => "nothing to do; the first copy counts",
            Self::BadSignature => "do not use the file; ask the sender for it again by another way",
            Self::Unreadable => "check that this party's own key file is used",
            Self::WrongType { .. } => "give the file to the command that expects its type",
            Self::NotInForce(_) => "see `agreement check`; every party signs with `agreement sign`",
            Self::WrongPassphrase => {
                "try again; a forgotten passphrase cannot be recovered, only a new key be issued"
            }
            Self::BadProof(_) => {
                "nothing was used; keep the file, tell the reviewer, ask another custodian: `prepare --custodian`"
            }
            Self::OverQuota { .. } => {
                "nothing was evaluated; a larger quota needs a new agreement (`evaluations_max`)"
            }
            Self::BadLog(_) => "do not use the file; keep all files and tell the reviewer",
            Self::MissingBase => {
                "take in the whole delivery that it changes; if that was deleted on its day, ask for a whole one"
            }
        }
    }

    /// A malformed input.
    pub fn malformed(what: &'static str, why: impl ToString) -> Self {
        Self::Malformed {
            what,
            why: why.to_string(),
        }
    }
}
