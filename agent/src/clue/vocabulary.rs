//! What rules speak of, read off them before anybody signs. In: compiled rules, the registers of an agreement. Out: nothing, or the first rule that asks for
//! a fact that its registers do not have, or compares one with a code that it never takes.
//! Invariant: nothing is evaluated, so no branch is passed over; what is refused here would stop a run later, or never be true and
//! look like a clean result. Specification: docs/OPERATIONS.md, "Rules" (names of operators: cel-spec, "Standard Definitions").

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use hedui_edge::Problem;
use hedui_protocol::agreement::text::{Dataset, Fact, FactKind};

use super::rules::{Rule, Rules};

/// What is read off one rule.
#[derive(Default)]
struct Spoken<'r> {
    /// Facts, in the order in which they are asked for.
    facts: Vec<&'r str>,
    /// Facts of which it asks whether they are there at all.
    guarded: Vec<&'r str>,
    /// Facts with the words with which they are compared.
    compared: Vec<(&'r str, &'r str)>,
    /// Whether it tells registers apart: then each fact need not be in all of them.
    by_register: bool,
    /// Whether it names `fact` itself, not that of a hit.
    of_one: bool,
    /// While reading: whether a loop calls something else `fact`.
    hidden: bool,
}

/// Refuses rules that speak of what the agreement does not have.
///
/// # Errors
/// Names rule and fact or code, with what there is instead.
pub fn check<'d>(
    rules: &Rules,
    registers: impl IntoIterator<Item = &'d Dataset>,
) -> Result<(), Problem> {
    let registers: Vec<&Dataset> = registers.into_iter().collect();
    for rule in &rules.rules {
        let mut spoken = Spoken::default();
        for (what, program) in rule.programs() {
            let mut own = Spoken::default();
            own.read(program.expression());
            if own.of_one && ["scope", "having"].contains(&what) {
                return Err(problem(
                    rule,
                    &format!(
                        "`{what}` 中没有 fact there is no `fact`: 事实条件写在 where a condition on facts belongs under `where`, of hits `h.fact`"
                    ),
                ));
            }
            spoken.add(own);
        }
        let registers: Vec<&Dataset> = registers
            .iter()
            .copied()
            .filter(|dataset| rule.registers.iter().any(|r| r == dataset.name.as_str()))
            .collect();
        for fact in &spoken.facts {
            let in_some = spoken.by_register || spoken.guarded.contains(fact);
            has_fact(rule, &registers, fact, in_some)?;
        }
        for (fact, word) in &spoken.compared {
            has_code(rule, &registers, fact, word)?;
        }
    }
    Ok(())
}

fn has_fact(
    rule: &Rule,
    registers: &[&Dataset],
    asked: &str,
    in_some: bool,
) -> Result<(), Problem> {
    let without = |dataset: &&&Dataset| named(dataset, asked).is_none();
    let Some(lacking) = registers.iter().find(without) else {
        return Ok(());
    };
    if in_some && !registers.iter().all(|dataset| without(&dataset)) {
        return Ok(());
    }
    let there: Vec<String> = lacking.fact.iter().map(in_rules).collect();
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    Err(problem(
        rule,
        &format!(
            "数据没有该事实项 `{}` has no fact `{asked}`; 现有 it has: {}",
            lacking.name,
            listed(&there)
        ),
    ))
}

fn has_code(rule: &Rule, registers: &[&Dataset], asked: &str, word: &str) -> Result<(), Problem> {
    let facts: Vec<&Fact> = registers
        .iter()
        .filter_map(|dataset| named(dataset, asked))
        .collect();
    // A reference, or a code of one register and a reference of another, can be any word.
    if facts.iter().any(|fact| fact.kind != FactKind::Code) {
        return Ok(());
    }
    let mut there: Vec<&str> = facts
        .iter()
        .flat_map(|fact| &fact.codes)
        .map(String::as_str)
        .collect();
    // An absent value is the empty word.
    if facts.is_empty() || word.is_empty() || there.contains(&word) {
        return Ok(());
    }
    there.sort_unstable();
    there.dedup();
    Err(problem(
        rule,
        &format!(
            "事实项 `{asked}` 没有该代码 is never `{word}`; 现有 its codes are: {}",
            listed(&there)
        ),
    ))
}

fn named<'d>(dataset: &'d Dataset, fact: &str) -> Option<&'d Fact> {
    dataset.fact.iter().find(|own| in_rules(own) == fact)
}

/// A fact's name as rules write it: a hyphen would be a minus there.
fn in_rules(fact: &Fact) -> String {
    fact.name.as_str().replace('-', "_")
}

fn listed(words: &[&str]) -> String {
    if words.is_empty() {
        "无 none".to_owned()
    } else {
        words.join(", ")
    }
}

fn problem(rule: &Rule, why: &str) -> Problem {
    Problem::data(
        format!("rule `{}`: {why}", rule.name),
        "correct the rule file, or add the fact or code under the register's [[dataset.fact]] in the template of the agreement",
    )
}

impl<'r> Spoken<'r> {
    fn add(&mut self, other: Self) {
        self.facts.extend(other.facts);
        self.guarded.extend(other.guarded);
        self.compared.extend(other.compared);
        self.by_register |= other.by_register;
    }

    fn read(&mut self, expr: &'r IdedExpr) {
        // `has(fact.x)` asks whether it is there.
        let asks = matches!(&expr.expr, Expr::Select(select) if select.test);
        let facts = if asks {
            &mut self.guarded
        } else {
            &mut self.facts
        };
        facts.extend(fact_of(expr, self.hidden));
        match &expr.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                self.by_register |= name == "register";
                self.of_one |= name == "fact" && !self.hidden;
            }
            Expr::Select(select) => {
                let of_person =
                    matches!(&select.operand.expr, Expr::Ident(name) if name == "person");
                self.by_register |= select.field == "register" && !of_person;
                self.read(&select.operand);
            }
            Expr::Call(call) => {
                if let [left, right] = &call.args[..] {
                    // `'x' in fact` asks whether it is there, as `has(fact.x)` does.
                    if call.func_name == operators::IN && are_facts(right, self.hidden) {
                        self.guarded.extend(word_of(left));
                    }
                    self.compare(&call.func_name, left, right);
                }
                call.target.iter().for_each(|target| self.read(target));
                call.args.iter().for_each(|part| self.read(part));
            }
            Expr::Comprehension(all) => {
                self.read(&all.iter_range);
                // A hit may be called `fact` where hits are looked through one by one.
                let outside = self.hidden;
                self.hidden |= all.iter_var == "fact" || all.iter_var2.as_deref() == Some("fact");
                let parts = [&all.accu_init, &all.loop_cond, &all.loop_step, &all.result];
                parts.into_iter().for_each(|part| self.read(part));
                self.hidden = outside;
            }
            Expr::List(list) => list.elements.iter().for_each(|part| self.read(part)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(made) => made
                .entries
                .iter()
                .for_each(|entry| self.entry(&entry.expr)),
        }
    }

    fn entry(&mut self, entry: &'r EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.read(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.read(&entry.key);
                self.read(&entry.value);
            }
        }
    }

    fn compare(&mut self, operator: &str, left: &'r IdedExpr, right: &'r IdedExpr) {
        let words: Vec<(&IdedExpr, &IdedExpr)> = match (operator, &right.expr) {
            (operators::IN, Expr::List(list)) => {
                list.elements.iter().map(|word| (left, word)).collect()
            }
            (operators::EQUALS | operators::NOT_EQUALS, _) => vec![(left, right), (right, left)],
            _ => return,
        };
        for (fact, word) in words {
            self.compared
                .extend(fact_of(fact, self.hidden).zip(word_of(word)));
        }
    }
}

/// Whether an expression is all facts of one row; `hidden`: `fact` is the name of something else here.
fn are_facts(expr: &IdedExpr, hidden: bool) -> bool {
    match &expr.expr {
        Expr::Ident(name) => name == "fact" && !hidden,
        Expr::Select(inner) => inner.field == "fact",
        _ => false,
    }
}

/// The fact that `fact.x`, `fact['x']`, or either of a hit `h` asks for.
fn fact_of(expr: &IdedExpr, hidden: bool) -> Option<&str> {
    match &expr.expr {
        Expr::Select(select) => are_facts(&select.operand, hidden).then_some(&*select.field),
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [of, name] = &call.args[..] else {
                return None;
            };
            word_of(name).filter(|_| are_facts(of, hidden))
        }
        _ => None,
    }
}

fn word_of(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(word)) => Some(word.inner()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hedui_protocol::agreement::strict;

    use super::*;

    const REGISTERS: [&str; 2] = [
        "name = 'cars'\nnumber = 2\nowner = 'a'\nkind = 'register'\nrows_max = 9\n\
         [[fact]]\nname = 'status'\nkind = 'code'\ncodes = ['normal', 'scrapped']\n\
         [[fact]]\nname = 'since'\nkind = 'date'\n\
         [[fact]]\nname = 'owner-kind'\nkind = 'code'\ncodes = ['own']\n\
         [[fact]]\nname = 'number'\nkind = 'code'\ncodes = ['none']\n",
        "name = 'flats'\nnumber = 3\nowner = 'a'\nkind = 'register'\nrows_max = 9\n\
         [[fact]]\nname = 'area'\nkind = 'integer'\n\
         [[fact]]\nname = 'status'\nkind = 'code'\ncodes = ['normal', 'sealed']\n\
         [[fact]]\nname = 'number'\nkind = 'reference'\n",
    ];

    /// What is said of a rule over some of the registers; nothing if it passes.
    fn said(registers: &str, condition: &str, having: &str) -> String {
        let datasets = REGISTERS.map(|text| strict::parse::<Dataset>("dataset", text).unwrap());
        let text = format!(
            "version = 1\n[[rule]]\nname = 'r'\ncategory = 'c'\nclause = 'x'\ndisproof = 'y'\n\
             registers = [{registers}]\nwhere = \"{condition}\"\nhaving = \"{having}\"\n"
        );
        let rules = Rules::parse(&text, None, "2016-06-30").ok().unwrap();
        let problem = check(&rules, &datasets).err();
        problem.map_or(String::new(), |problem| problem.to_string())
    }

    #[test]
    fn rules_that_speak_of_what_is_there_pass() {
        for (registers, condition, having) in [
            ("'cars'", "fact.status == 'normal' && fact.since > 0", ""),
            ("'cars'", "fact.status in ['normal', '']", ""),
            ("'cars', 'flats'", "fact.status != 'sealed'", ""),
            (
                "'cars', 'flats'",
                "register == 'flats' ? fact.area > 60 : fact.since > 0",
                "",
            ),
            ("'flats'", "", "total(hits.map(h, h.fact.area)) > 100"),
            ("'cars'", "fact.owner_kind == 'own'", ""),
            ("'cars', 'flats'", "fact.number == 'X1'", ""),
            ("'cars', 'flats'", "has(fact.area) && fact.area > 60", ""),
            ("'cars', 'flats'", "'area' in fact && fact.area > 60", ""),
            ("'flats'", "", "hits.exists(fact, fact.register == 'flats')"),
            ("'flats'", "", "hits.exists(fact, fact.fact.area > 60)"),
            ("'flats'", "fact['area'] > 60", ""),
            ("'flats'", "person.status == 'whatever'", ""),
            ("'elsewhere'", "fact.status == 'normal'", ""),
        ] {
            assert_eq!(
                said(registers, condition, having),
                "",
                "{condition}{having}"
            );
        }
    }

    #[test]
    fn facts_and_codes_that_are_not_there_are_named() {
        for (registers, condition, having, word) in [
            ("'cars'", "fact.statis == 'normal'", "", "`statis`"),
            ("'cars'", "false && fact.area > 60", "", "`area`"),
            ("'cars', 'flats'", "fact.area > 60", "", "`area`"),
            (
                "'cars', 'flats'",
                "register == 'flats' && fact.colour == 'red'",
                "",
                "`colour`",
            ),
            ("'flats'", "", "hits.exists(h, h.fact.since > 0)", "`since`"),
            (
                "'flats'",
                "",
                "hits.exists(fact, fact.fact.since > 0)",
                "`since`",
            ),
            (
                "'flats'",
                "",
                "hits.exists(fact, true) && fact.area > 60",
                "`having`",
            ),
            ("'cars'", "fact['statis'] == 'normal'", "", "`statis`"),
            (
                "'cars', 'flats'",
                "person.register == 'x' && fact.area > 60",
                "",
                "`area`",
            ),
            ("'cars'", "has(fact.area) && fact.area > 60", "", "`area`"),
            ("'flats'", "", "fact.area > 60", "`having`"),
            ("'cars'", "fact.owner_kind == 'lent'", "", "`lent`"),
            ("'cars'", "fact.status == 'sealed'", "", "`sealed`"),
            ("'cars'", "'nromal' != fact.status", "", "`nromal`"),
            ("'cars'", "fact.status in ['normal', 'x']", "", "`x`"),
            (
                "'flats'",
                "",
                "hits.filter(h, h.fact.status == 'scrapped').size() > 1",
                "`scrapped`",
            ),
        ] {
            let said = said(registers, condition, having);
            assert!(said.contains(word), "{condition}{having}: {said}");
        }
    }
}
