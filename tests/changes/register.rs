//! A register that changes. In: the synthetic county's vehicles, dice. Out: files: the whole register as it is, and what has changed since
//! the last file. Invariant: a ledger of its own; it knows nothing of how the product keeps or compares rows.
//! Specification: docs/OPERATIONS.md, "Changes".

use std::collections::BTreeMap;
use std::fs;

use hedui_agent::mapping::Mapping;
use hedui_agent::source;
use hedui_tests::county::dice::Dice;
use hedui_tests::county_run::mapping_of;
use hedui_tests::run::Site;

/// What the mapping says of changes.
const CHANGES: &str = "\n[changes]\nkey = [\"序号\"]\noperation = \"操作\"\n\
    codes = { \"新增\" = \"add\", \"变更\" = \"change\", \"注销\" = \"withdraw\" }\n";

/// Rows by their number, and what became of them since the last file.
pub(crate) struct Register {
    /// Dataset.
    pub(crate) name: &'static str,
    /// Its owner.
    pub(crate) party: &'static str,
    columns: Vec<String>,
    rows: BTreeMap<u64, Vec<String>>,
    changes: Vec<(u64, &'static str)>,
    next: u64,
    /// Path of the mapping.
    pub(crate) mapping: String,
    text: String,
}

impl Register {
    /// The vehicles of a site's county.
    pub(crate) fn of(site: &Site, name: &'static str, party: &'static str) -> Self {
        let mapping = mapping_of(site, name);
        let read = Mapping::read(mapping.as_ref()).expect("mapping");
        let path = read.source_path(mapping.as_ref());
        let mut rows = BTreeMap::new();
        let reading = source::read(&path, &read.source, &mut |batch| {
            for row in batch {
                rows.insert(rows.len() as u64 + 1, row.cells);
            }
            Ok(())
        });
        let reading = reading.expect("the vehicles");
        let text = fs::read_to_string(&mapping).expect("mapping");
        let file = text
            .lines()
            .find(|line| line.starts_with("file = "))
            .expect("file");
        let text = text.replace(file, "file = \"车辆.csv\"") + CHANGES;
        let register = Self {
            name,
            party,
            columns: reading.columns,
            next: rows.len() as u64 + 1,
            rows,
            changes: Vec::new(),
            mapping: site
                .root
                .join("county/车辆.map.toml")
                .to_string_lossy()
                .into_owned(),
            text,
        };
        fs::write(&register.mapping, &register.text).expect("mapping");
        register
    }

    /// Keeps the first rows only.
    pub(crate) fn shorten(&mut self, rows: u64) {
        self.rows.retain(|number, _| *number <= rows);
    }

    /// The mapping in a copy of the site.
    pub(crate) fn mapping_in(&self, site: &Site) -> String {
        site.root
            .join("county/车辆.map.toml")
            .to_string_lossy()
            .into_owned()
    }

    /// Writes the register as it is; rows stand in another order each time, since no export keeps it.
    pub(crate) fn write_whole(&mut self, site: &Site) {
        let mut numbers: Vec<u64> = self.rows.keys().copied().collect();
        Dice::new(self.next).shuffle(&mut numbers);
        let rows = numbers
            .iter()
            .map(|number| (*number, &self.rows[number], None));
        self.write(&site.root.join("county/车辆.csv"), rows);
        self.changes.clear();
    }

    /// Writes what has changed since the last file; its path.
    pub(crate) fn write_changes(&self, site: &Site, round: usize) -> String {
        let path = site.root.join(format!("county/车辆变更{round}.csv"));
        let blank = vec![String::new(); self.columns.len()];
        let rows = self.changes.iter().map(|(number, word)| {
            (
                *number,
                self.rows.get(number).unwrap_or(&blank),
                Some(*word),
            )
        });
        self.write(&path, rows);
        path.to_string_lossy().into_owned()
    }

    fn write<'r>(
        &self,
        path: &std::path::Path,
        rows: impl Iterator<Item = (u64, &'r Vec<String>, Option<&'static str>)>,
    ) {
        let mut out = String::new();
        let quote = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
        let mut line = |cells: Vec<&str>| {
            let cells: Vec<String> = cells.into_iter().map(quote).collect();
            out.push_str(&cells.join(","));
            out.push('\n');
        };
        let mut head = vec!["序号"];
        head.extend(self.columns.iter().map(String::as_str));
        let mut rows = rows.peekable();
        if rows.peek().is_some_and(|row| row.2.is_some()) {
            head.push("操作");
        }
        line(head);
        for (number, cells, word) in rows {
            let number = number.to_string();
            let mut all = vec![number.as_str()];
            all.extend(cells.iter().map(String::as_str));
            all.extend(word);
            line(all);
        }
        fs::write(path, out).expect("register");
    }

    fn at(&self, column: &str) -> usize {
        self.columns
            .iter()
            .position(|name| name == column)
            .expect(column)
    }

    fn add(&mut self, cells: Vec<String>) -> u64 {
        self.rows.insert(self.next, cells);
        self.changes.push((self.next, "新增"));
        self.next += 1;
        self.next - 1
    }

    fn change(&mut self, number: u64, column: &str, value: &str) {
        let at = self.at(column);
        if let Some(cells) = self.rows.get_mut(&number)
            && cells[at] != value
        {
            cells[at] = value.to_owned();
            self.changes.push((number, "变更"));
        }
    }

    fn withdraw(&mut self, number: u64) {
        if self.rows.remove(&number).is_some() {
            self.changes.push((number, "注销"));
        }
    }

    fn some(&self, dice: &mut Dice, count: usize) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.rows.keys().copied().collect();
        dice.shuffle(&mut numbers);
        numbers.truncate(count);
        numbers
    }

    /// Owners of one name in one village, as many as the cap on common values and one or two more or less.
    pub(crate) fn plant_common_values(&mut self, dice: &mut Dice) {
        let (name, id, place) = (
            self.at("所有人"),
            self.at("身份证明号码"),
            self.at("住所地址"),
        );
        let some = self.some(dice, 5);
        for (group, (source, count)) in some.into_iter().zip([18, 19, 20, 21, 23]).enumerate() {
            for person in 0..count {
                let mut cells = self.rows[&source].clone();
                cells[name] = format!("聚{}", ["甲", "乙", "丙", "丁", "戊"][group]);
                cells[id] = invented(group as u32 * 100 + person);
                if cells[place].is_empty() {
                    cells[place] = "嫘祖镇".to_owned();
                }
                self.add(cells);
            }
        }
    }

    /// What the last column but some says in some rows is said in others; no other column changes.
    pub(crate) fn swap(&mut self, dice: &mut Dice, column: &str) {
        for number in self.some(dice, 40) {
            let other = self.some(dice, 1)[0];
            let value = self.rows[&other][self.at(column)].clone();
            self.change(number, column, &value);
        }
    }

    /// Most rows lose their owners' numbers.
    pub(crate) fn lose_numbers(&mut self, dice: &mut Dice) {
        for number in self.some(dice, self.rows.len() * 6 / 10) {
            self.change(number, "身份证明号码", "");
        }
    }

    /// Rows get another date, and their vehicles are scrapped.
    pub(crate) fn scrap(&mut self, numbers: &[u64], day: &str) {
        for number in numbers {
            self.change(*number, "初次登记日期", day);
            self.change(*number, "机动车状态", "M");
        }
    }

    /// Owners of one vehicle each come.
    pub(crate) fn crowd(&mut self, dice: &mut Dice, count: u32) {
        let at = self.at("身份证明号码");
        for person in 0..count {
            let source = self.some(dice, 1)[0];
            let mut cells = self.rows[&source].clone();
            cells[at] = invented(30_000 + person);
            self.add(cells);
        }
    }

    /// As many go.
    pub(crate) fn clear(&mut self, dice: &mut Dice, count: usize) {
        for number in self.some(dice, count) {
            self.withdraw(number);
        }
    }

    /// A quarter's changes: every kind of them, and values that become too common or are so no longer.
    pub(crate) fn turn(&mut self, dice: &mut Dice, round: usize) {
        let part = self.rows.len() / 120;
        for number in self.some(dice, part) {
            self.withdraw(number);
        }
        for number in self.some(dice, part) {
            let state = *dice.pick(&["A", "M", "E", "B"]);
            self.change(number, "机动车状态", state);
        }
        // Sold: another owner, who has a vehicle already or none.
        for number in self.some(dice, part) {
            let other = self.some(dice, 1)[0];
            for column in ["所有人", "身份证明号码", "住所地址"] {
                let value = self.rows[&other][self.at(column)].clone();
                self.change(number, column, &value);
            }
        }
        for person in 0..part {
            let number = self.some(dice, 1)[0];
            let mut cells = self.rows[&number].clone();
            let at = self.at("身份证明号码");
            cells[at] =
                invented(10_000 + round as u32 * 1000 + u32::try_from(person).expect("few"));
            let added = self.add(cells);
            if person % 7 == 0 {
                self.withdraw(added);
            }
        }
        // The planted groups shrink and grow across the cap.
        let name = self.at("所有人");
        for (group, word) in ["聚甲", "聚乙", "聚丙", "聚丁", "聚戊"]
            .into_iter()
            .enumerate()
        {
            let own: Vec<u64> = self
                .rows
                .iter()
                .filter(|(_, cells)| cells[name] == word)
                .map(|(number, _)| *number)
                .collect();
            let few = 1 + (round + group) % 3;
            if (round + group).is_multiple_of(2) {
                own.iter()
                    .take(few)
                    .for_each(|number| self.withdraw(*number));
            } else if let Some(first) = own.first() {
                for person in 0..few {
                    let mut cells = self.rows[first].clone();
                    let at = self.at("身份证明号码");
                    cells[at] = invented((20_000 + round * 1000 + group * 100 + person) as u32);
                    self.add(cells);
                }
            }
        }
        if round == 3 {
            // A row back as it was before: nothing is different then.
            let number = self.some(dice, 1)[0];
            let before = self.rows[&number][self.at("机动车状态")].clone();
            self.change(number, "机动车状态", "Q");
            self.change(number, "机动车状态", &before);
        }
        if round == 4 {
            // Many lose their numbers: what most records look like is another thing now.
            self.lose_numbers(dice);
        }
    }
}

/// An identity number of nobody, with its check digit.
fn invented(number: u32) -> String {
    let day = 19_600_101 + number % 28 + number / 28 % 12 * 100 + number / 336 % 30 * 10_000;
    let digits = format!("422725{day}{:03}", 900 + number / 10_080);
    let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = digits
        .bytes()
        .zip(weights)
        .map(|(digit, weight)| u32::from(digit - b'0') * weight)
        .sum();
    let check = b"10X98765432"[(sum % 11) as usize];
    format!("{digits}{}", char::from(check))
}
