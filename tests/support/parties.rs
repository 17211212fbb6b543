//! Invented parties and their agreement. In: numbers. Out: identities, a checked agreement. Invariant: the same in every
//! run, so that vectors and fuzzing inputs stay what they are.
//! Specification: protocol/SPEC.md, "Identities", "Agreement".

use hedui_protocol::agreement::Agreement;
use hedui_protocol::identity::Identity;
use hedui_protocol::ids::Name;
use hedui_protocol::primitive::hex;
use hedui_protocol::secret::Secret;

/// A name.
pub fn name(text: &str) -> Name {
    Name::new(text).expect("name")
}

/// The seed of an invented party.
pub fn seed(of: u8) -> [u8; 64] {
    std::array::from_fn(|at| {
        of.wrapping_mul(31)
            .wrapping_add(u8::try_from(at).unwrap_or(0))
    })
}

/// An invented party.
pub fn identity(party: &str, of: u8) -> Identity {
    Identity::from_seed(name(party), &Secret::new(seed(of)))
}

/// An agreement of a roll owner, a register's owner, the matcher and three custodians; `more` has its fields and keys, and before
/// a line `---` what stands above the parties.
pub fn agreement(more: &str) -> Agreement {
    let mut toml = "version = 1\nname = 'vectors'\npurpose = 'test'\nlegal_basis = 'test'\n\
         valid_from = '2016-01-01'\nvalid_until = '2016-12-31'\n"
        .to_owned();
    let parties = [
        ("office", "department"),
        ("police", "department"),
        ("centre", "matcher"),
        ("c1", "custodian"),
        ("c2", "custodian"),
        ("c3", "custodian"),
    ];
    let lock = if more.contains("lock =") {
        ""
    } else {
        "lock = 'oprf'\n"
    };
    let (top, rest) = more.split_once("---\n").unwrap_or(("", more));
    toml += lock;
    toml += top;
    for (of, (party, role)) in (1..).zip(parties) {
        let own = identity(party, of);
        let (sign, seal) = (hex(&own.card().sign), hex(&own.card().seal));
        toml += &format!(
            "[[party]]\nname = '{party}'\nrole = '{role}'\nsign = '{sign}'\nseal = '{seal}'\n"
        );
    }
    toml += rest;
    toml += "[[dataset]]\nname = 'roll'\nnumber = 1\nowner = 'office'\nkind = 'roll'\nrows_max = 500\n\
        [[dataset]]\nname = 'cars'\nnumber = 2\nowner = 'police'\nkind = 'register'\nrows_max = 500\n";
    Agreement::parse(&toml).unwrap_or_else(|refusal| panic!("{refusal}\n{toml}"))
}

/// The same with three fields and four match keys, whose register may be asked about single records and whose owner is told which of
/// its own were found.
pub fn open_agreement() -> Agreement {
    let text = agreement(FIELDS).effective().to_owned();
    let (rest, cars) = text.rsplit_once("[[dataset]]").expect("a register");
    let cars = cars.trim_end().trim_end_matches("fact = []");
    let more = "own_result = true\n[dataset.disclosure]\nrecords_max = 20\nfields = ['name', 'phone']\n\
        [[dataset.fact]]\nname = 'status'\nkind = 'code'\ncodes = ['normal', 'scrapped']\n\
        [[dataset.fact]]\nname = 'since'\nkind = 'date'\n";
    Agreement::parse(&format!("{rest}[[dataset]]{cars}\n{more}")).expect("terms")
}

/// Three fields and four match keys of every class that decides.
pub const FIELDS: &str = "[[field]]\nname = 'id'\nkind = 'cn-resident-id'\n[[field]]\nname = 'name'\nkind = 'cn-name'\n\
    [[field]]\nname = 'phone'\nkind = 'phone'\n[[match_key]]\nname = 'id'\nparts = ['id']\nclass = 'A'\n\
    [[match_key]]\nname = 'name'\nparts = ['name']\nclass = 'B'\n[[match_key]]\nname = 'name-phone'\nparts = ['name', 'phone']\nclass = 'B'\n\
    family = 'name+phone'\n[[match_key]]\nname = 'phone'\nparts = ['phone']\nclass = 'C'\n[[release]]\nkeys = ['id']\n";
