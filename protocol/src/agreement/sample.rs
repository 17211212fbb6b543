//! One good agreement for the tests of this room. In: changes of it. Out: the agreement, or the refusal.
//! Something of everything stands in it, so that each rule can be broken alone.
//! Invariant: as it stands it passes.

use super::text::{Comparison, Text};
use super::*;
use crate::filter::FilterSpec;
use crate::secret::Secret;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Something of everything: five parties, five fields, six keys of which one allows for errors, two comparisons, a register.
pub(crate) fn sample() -> Text {
    let mut toml = String::from(
        "version = 1\nname = 'demo'\npurpose = 'test'\nlegal_basis = 'test'\nlock = 'keyed'\n\
         valid_from = '2016-01-01'\nvalid_until = '2016-12-31'\n",
    );
    let parties = ["office", "centre", "c1", "c2", "c3"];
    let roles = [
        "department",
        "matcher",
        "custodian",
        "custodian",
        "custodian",
    ];
    for ((party, role), seed) in parties.iter().zip(roles).zip(1..) {
        let made = Identity::from_seed(name(party), &Secret::new([seed; 64]));
        let (sign, seal) = (hex(&made.card().sign), hex(&made.card().seal));
        toml += &format!(
            "[[party]]\nname = '{party}'\nrole = '{role}'\nsign = '{sign}'\nseal = '{seal}'\n"
        );
    }
    toml += "[[field]]\nname = 'id'\nkind = 'cn-resident-id'\n\
             [[field]]\nname = 'birth'\nkind = 'date'\nderive = 'id:birth'\n\
             [[field]]\nname = 'name'\nkind = 'cn-name'\n\
             [[field]]\nname = 'surname'\nkind = 'cn-name'\n\
             [[field]]\nname = 'phone'\nkind = 'phone'\n\
             [[match_key]]\nname = 'id'\nparts = ['id']\nclass = 'A'\n\
             [[match_key]]\nname = 'slip'\nparts = ['id:one-error', 'name']\nclass = 'B'\nfamily = 'body'\n\
             [[match_key]]\nname = 'body'\nparts = ['id:body']\nclass = 'B'\n\
             [[match_key]]\nname = 'person'\nparts = ['name', 'birth']\nclass = 'B'\n\
             [[match_key]]\nname = 'phone'\nparts = ['phone']\nclass = 'C'\n\
             [[match_key]]\nname = 'sound'\nparts = ['name:pinyin']\nclass = 'D'\n\
             [refine]\n[[comparison]]\nfield = 'name'\n[[comparison]]\nfield = 'phone'\n\
             [[release]]\nkeys = ['id']\n[[release]]\nkeys = ['person', 'body']\n\
             [[dataset]]\nname = 'roll'\nnumber = 1\nowner = 'office'\nkind = 'roll'\nrows_max = 1000\n\
             [[dataset]]\nname = 'cars'\nnumber = 2\nowner = 'office'\nkind = 'register'\nrows_max = 1000\n\
             [[dataset.fact]]\nname = 'state'\nkind = 'code'\ncodes = ['a', 'b']\n";
    strict::parse("agreement", &toml).unwrap()
}

pub(crate) fn changed(change: impl FnOnce(&mut Text)) -> Result<Agreement, Refusal> {
    let mut text = sample();
    change(&mut text);
    Agreement::from_text(text)
}

pub(crate) type Change = (&'static str, fn(&mut Text));

pub(crate) fn accepted(changes: &[Change]) {
    for (what, change) in changes {
        let refusal = changed(change).err();
        assert!(refusal.is_none(), "{what}: {refusal:?}");
    }
}

/// Each is refused with a message that contains the word.
pub(crate) fn refused(word: &str, changes: &[Change]) {
    for (what, change) in changes {
        let refusal = changed(change).err().map(|refusal| refusal.to_string());
        let said = refusal.as_deref().unwrap_or("accepted");
        assert!(said.contains(word), "{what}: {said}");
    }
}

pub(crate) fn comparison(field: &str) -> Comparison {
    Comparison {
        field: name(field),
        tokens: None,
        also: None,
        exchange: None,
        filter: FilterSpec {
            bits: 512,
            positions: 128,
        },
    }
}

/// Fills a list to `count` entries with copies of its last under names of their own.
pub(crate) fn fill<T: Clone>(list: &mut Vec<T>, count: usize, rename: impl Fn(&mut T, Name, u16)) {
    let pattern = list.last().unwrap().clone();
    for number in list.len()..count {
        let mut more = pattern.clone();
        let label = format!("more-{number}");
        rename(&mut more, name(&label), u16::try_from(number + 1).unwrap());
        list.push(more);
    }
}
