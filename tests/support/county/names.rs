//! Names of persons and villages. In: derived tables (tables/derive.py). Out: names by chance, and the
//! slips that people make with them. Invariant: the tables come from other sources than the linkage's.
//! Licences: NOTICE.

use super::dice::Dice;

/// Tables of names and slips.
pub struct Names {
    surnames: Vec<char>,
    surname_weights: Vec<u32>,
    given: Vec<(char, char)>,
    male: Vec<u32>,
    female: Vec<u32>,
    homophones: Vec<(char, Vec<char>)>,
    lookalikes: Vec<(char, Vec<char>)>,
}

/// Characters outside GB 2312 that names carry; common systems lose them.
const RARE: [char; 14] = [
    '喆', '堃', '珺', '玥', '昇', '赟', '翀', '炘', '頔', '龑', '䶮', '㐂', '𬱖', '𠮷',
];

/// Pairs of a simplified and another form of surnames and given-name characters.
const VARIANTS: [(char, char); 14] = [
    ('肖', '萧'),
    ('付', '傅'),
    ('闫', '阎'),
    ('戴', '代'),
    ('邱', '丘'),
    ('兰', '蓝'),
    ('叶', '葉'),
    ('云', '雲'),
    ('于', '於'),
    ('刘', '劉'),
    ('张', '張'),
    ('陈', '陳'),
    ('华', '華'),
    ('国', '國'),
];

impl Names {
    /// Reads the tables.
    pub fn new() -> Self {
        let (mut surnames, mut surname_weights) = (Vec::new(), Vec::new());
        for line in include_str!("tables/surnames.tsv").lines() {
            let mut cells = line.split('\t');
            let name: Vec<char> = cells.next().unwrap_or_default().chars().collect();
            if let [c] = name[..] {
                surnames.push(c);
                let weight: f64 = cells.next().and_then(|w| w.parse().ok()).unwrap_or(0.0);
                surname_weights.push((weight * 1000.0) as u32 + 1);
            }
        }
        let (mut given, mut male, mut female) = (Vec::new(), Vec::new(), Vec::new());
        for line in include_str!("tables/given.tsv").lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            let (Some(c), Some(sex)) = (cells[0].chars().next(), cells[2].chars().next()) else {
                continue;
            };
            let weight: u32 = cells[1].parse().unwrap_or(1);
            given.push((c, sex));
            male.push(if sex == 'f' { weight / 40 } else { weight });
            female.push(if sex == 'm' { weight / 40 } else { weight });
        }
        let slips = |text: &str| -> Vec<(char, Vec<char>)> {
            let mut all: Vec<(char, Vec<char>)> = text
                .lines()
                .filter_map(|line| {
                    let (from, to) = line.split_once('\t')?;
                    Some((from.chars().next()?, to.chars().collect()))
                })
                .collect();
            all.sort_unstable();
            all
        };
        Self {
            surnames,
            surname_weights,
            given,
            male,
            female,
            homophones: slips(include_str!("tables/homophones.tsv")),
            lookalikes: slips(include_str!("tables/lookalikes.tsv")),
        }
    }

    /// A surname by its frequency.
    pub fn surname(&self, dice: &mut Dice) -> char {
        self.surnames[dice.weighted(&self.surname_weights)]
    }

    /// A given name; siblings may share `generation`.
    pub fn given(&self, dice: &mut Dice, male: bool, generation: Option<char>) -> String {
        let weights = if male { &self.male } else { &self.female };
        let one = self.given[dice.weighted(weights)].0;
        if generation.is_none() && dice.percent(17.0) {
            return one.to_string();
        }
        let first = generation.unwrap_or_else(|| self.given[dice.weighted(weights)].0);
        format!("{first}{one}")
    }

    /// Now and then a name of another kind: with a rare character (0.6 %) or with a dot (0.05 %).
    pub fn unusual(&self, dice: &mut Dice, name: String) -> String {
        if dice.percent(0.05) {
            return format!(
                "{}{name}·{}",
                self.given(dice, true, None),
                self.given(dice, true, None)
            );
        }
        if dice.percent(0.6) {
            let keep: String = name.chars().take(name.chars().count() - 1).collect();
            return format!("{keep}{}", dice.pick(&RARE));
        }
        name
    }

    /// The name as a system without its rare character shows it.
    pub fn without_rare(name: &str, dice: &mut Dice) -> Option<String> {
        let rare = name.chars().find(|c| RARE.contains(c))?;
        let shown: [&str; 4] = ["?", "*", "□", ""];
        Some(name.replace(rare, shown[dice.below(4)]))
    }

    /// A character that can stand before given names of siblings.
    pub fn generation(&self, dice: &mut Dice) -> char {
        self.given[dice.below(120)].0
    }

    /// The name with one character replaced by one of the same sound.
    pub fn homophone(&self, name: &str, dice: &mut Dice) -> Option<String> {
        slip(name, &self.homophones, dice)
    }

    /// The name with one character replaced by one of similar shape.
    pub fn lookalike(&self, name: &str, dice: &mut Dice) -> Option<String> {
        slip(name, &self.lookalikes, dice)
    }

    /// The name with a character in its other form.
    pub fn variant(name: &str) -> Option<String> {
        let (from, to) = VARIANTS.iter().find(|(simple, _)| name.contains(*simple))?;
        Some(name.replacen(*from, &to.to_string(), 1))
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

/// Replaces one of the given-name characters by a neighbour in the table.
fn slip(name: &str, table: &[(char, Vec<char>)], dice: &mut Dice) -> Option<String> {
    let mut chars: Vec<char> = name.chars().collect();
    let at = 1 + dice.below(chars.len().checked_sub(1).filter(|n| *n > 0)?);
    let found = table
        .binary_search_by_key(&chars[at], |entry| entry.0)
        .ok()?;
    chars[at] = *dice.pick(&table[found].1);
    Some(chars.into_iter().collect())
}
