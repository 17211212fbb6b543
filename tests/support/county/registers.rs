//! The departments' registers: columns, codes, rows. In: identifiers and facts. Out: rows as each department
//! keeps them, in its own words and file format. Invariant: a row keeps whom it is about and what was done
//! to it, for the truth files alone.
//! Sizes and quality classes: shared evidence on county registers.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::errors::{Change, Class, Ident, distort, ident};
use super::people::People;

/// An identity column of a register.
#[derive(Clone, Copy)]
pub enum Part {
    /// Identity number.
    Id,
    /// Name.
    Name,
    /// Sex as 男/女.
    Sex,
    /// Sex as 1/2.
    SexCode,
    /// Birth date as `YYYYMMDD`.
    Birth,
    /// Birth date as `YYYY-MM-DD`.
    BirthDashed,
    /// Birth date as `YYYY年M月D日`.
    BirthWords,
    /// Township.
    Township,
    /// Village.
    Village,
    /// Group.
    Group,
    /// Province, county, township, village and group in one cell.
    Address,
    /// Telephone.
    Phone,
}

/// File format of a register.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// UTF-8 text.
    Utf8,
    /// GB 18030 text.
    Gb18030,
    /// Workbook.
    Xlsx,
}

/// A row of a register.
pub struct Row {
    /// Whom it is about.
    pub person: usize,
    /// Cells.
    pub cells: Vec<String>,
    /// What was done to it.
    pub changes: Vec<Change>,
}

/// A register.
pub struct Register {
    /// Chinese title, the file's name.
    pub title: &'static str,
    /// File format.
    pub format: Format,
    /// Quality class.
    pub class: Class,
    /// Identity columns.
    pub idents: &'static [(&'static str, Part)],
    /// Other columns.
    pub facts: &'static [&'static str],
    /// Rows.
    pub rows: Vec<Row>,
}

impl Register {
    /// Column names.
    pub fn header(&self) -> Vec<&'static str> {
        self.idents
            .iter()
            .map(|(name, _)| *name)
            .chain(self.facts.iter().copied())
            .collect()
    }

    /// Adds a row with identifiers as given.
    pub fn push(&mut self, person: usize, ident: &Ident, facts: &[String], changes: Vec<Change>) {
        let mut cells: Vec<String> = self
            .idents
            .iter()
            .map(|(_, part)| text(*part, ident))
            .collect();
        cells.extend(facts.iter().cloned());
        self.rows.push(Row {
            person,
            cells,
            changes,
        });
    }

    /// Adds a row as a clerk of the register's class writes it, now and then twice.
    pub fn write(&mut self, people: &People, person: usize, facts: &[String], dice: &mut Dice) {
        let (ident, changes) = distort(people, person, self.class, factor(people, person), dice);
        let twice = dice.percent([0.1, 0.5, 1.5, 1.0][self.class as usize]);
        self.push(person, &ident, facts, changes.clone());
        if twice {
            self.push(person, &ident, facts, changes);
        }
    }

    /// Brings a row's identity cells back to what is true, as its keeper does when a correction is asked for.
    pub fn correct(&mut self, people: &People, at: usize) {
        let row = &mut self.rows[at];
        let ident = ident(people, row.person);
        for (cell, (_, part)) in row.cells.iter_mut().zip(self.idents) {
            *cell = text(*part, &ident);
        }
        row.changes.clear();
    }

    /// Brings the rows into an order that says nothing.
    pub fn shuffle(&mut self, dice: &mut Dice) {
        dice.shuffle(&mut self.rows);
    }
}

/// How careless a village's clerk is: between 0.3 and 2.5, 1 on average.
fn factor(people: &People, person: usize) -> f64 {
    [0.3, 0.5, 0.7, 0.8, 1.0, 1.2, 1.4, 2.1][people.all[person].village % 8]
}

fn text(part: Part, ident: &Ident) -> String {
    let date = |mark: [&str; 3]| match ident.birth.parse::<u32>() {
        Ok(birth) => format!(
            "{}{}{:02}{}{:02}{}",
            birth / 10_000,
            mark[0],
            birth / 100 % 100,
            mark[1],
            birth % 100,
            mark[2]
        ),
        Err(_) => ident.birth.clone(),
    };
    match part {
        Part::Id => ident.id.clone(),
        Part::Name => ident.name.clone(),
        Part::Sex => ident.sex.clone(),
        Part::SexCode => if ident.sex == "男" { "1" } else { "2" }.to_owned(),
        Part::Birth => ident.birth.clone(),
        Part::BirthDashed => date(["-", "-", ""]),
        Part::BirthWords => date(["年", "月", "日"]),
        Part::Township => ident.township.clone(),
        Part::Village => ident.village.clone(),
        Part::Group => ident.group.clone(),
        Part::Address => {
            format!(
                "湖北省远安县{}{}{}",
                ident.township, ident.village, ident.group
            )
        }
        Part::Phone => ident.phone.clone(),
    }
}

/// All registers, empty.
pub fn empty() -> BTreeMap<&'static str, Register> {
    use Class::{A, B, C, D};
    use Format::{Gb18030, Utf8, Xlsx};
    use Part::{
        Address, Birth, BirthDashed, BirthWords, Group, Id, Name, Phone, Sex, SexCode, Township,
        Village,
    };
    let mut all = BTreeMap::new();
    let mut add = |name, title, format, class, idents, facts| {
        all.insert(
            name,
            Register {
                title,
                format,
                class,
                idents,
                facts,
                rows: Vec::new(),
            },
        );
    };
    add(
        "dibao",
        "低保台账",
        Xlsx,
        C,
        &[
            ("姓名", Name),
            ("身份证号", Id),
            ("性别", Sex),
            ("出生日期", BirthDashed),
            ("乡镇", Township),
            ("村（社区）", Village),
            ("组", Group),
            ("联系电话", Phone),
        ],
        &[
            "户编号",
            "与申请人关系",
            "人员类别",
            "城乡类别",
            "月保障金",
            "享受起始日期",
            "停发日期",
            "最后发放日期",
            "备案",
            "家庭人均月收入",
            "低保标准",
        ],
    );
    add(
        "hukou",
        "户籍人口",
        Gb18030,
        A,
        &[
            ("公民身份号码", Id),
            ("姓名", Name),
            ("性别", Sex),
            ("出生日期", Birth),
            ("户籍地址", Address),
        ],
        &["户号", "与户主关系", "民族", "户状态", "变更日期"],
    );
    add(
        "siwang",
        "死亡注销",
        Utf8,
        A,
        &[
            ("公民身份号码", Id),
            ("姓名", Name),
            ("性别", SexCode),
            ("出生日期", Birth),
            ("户籍地址", Address),
        ],
        &["死亡日期", "注销日期", "状态"],
    );
    add(
        "huohua",
        "火化登记",
        Xlsx,
        C,
        &[
            ("逝者姓名", Name),
            ("身份证号码", Id),
            ("性别", Sex),
            ("出生年月日", BirthWords),
            ("住址", Address),
        ],
        &["火化证号", "死亡时间", "火化时间"],
    );
    add(
        "siwangzheng",
        "死亡医学证明",
        Gb18030,
        B,
        &[
            ("死者姓名", Name),
            ("证件号码", Id),
            ("性别", Sex),
            ("出生日期", BirthDashed),
            ("常住地址", Address),
        ],
        &["死亡日期", "死亡原因编码"],
    );
    add(
        "jidongche",
        "机动车登记",
        Gb18030,
        B,
        &[
            ("所有人", Name),
            ("身份证明号码", Id),
            ("住所地址", Address),
        ],
        &[
            "号牌种类",
            "号牌号码",
            "车辆类型",
            "使用性质",
            "初次登记日期",
            "机动车状态",
        ],
    );
    add(
        "budongchan",
        "不动产登记",
        Utf8,
        B,
        &[("权利人", Name), ("证件号", Id), ("通讯地址", Address)],
        &[
            "不动产单元号",
            "用途",
            "面积",
            "共有份额",
            "取得方式",
            "登记日期",
            "权属状态",
        ],
    );
    add(
        "zhaijidi",
        "农村宅基地",
        Xlsx,
        D,
        &[
            ("户主", Name),
            ("身份证号", Id),
            ("乡镇", Township),
            ("村", Village),
            ("组", Group),
        ],
        &["宗地号", "面积", "发证日期"],
    );
    add(
        "nongji",
        "农机购置补贴",
        Xlsx,
        C,
        &[
            ("购机者姓名", Name),
            ("身份证号", Id),
            ("乡镇", Township),
            ("村", Village),
        ],
        &["机具品目", "补贴额（元）", "购机日期"],
    );
    add(
        "linye",
        "林业补贴",
        Xlsx,
        C,
        &[
            ("户主姓名", Name),
            ("身份证号码", Id),
            ("镇", Township),
            ("村", Village),
            ("组", Group),
        ],
        &["面积（亩）", "金额（元）", "年度"],
    );
    add(
        "caizheng",
        "财政供养人员",
        Utf8,
        A,
        &[
            ("身份证号", Id),
            ("姓名", Name),
            ("性别", SexCode),
            ("出生日期", Birth),
            ("联系电话", Phone),
        ],
        &["单位性质", "人员状态"],
    );
    add(
        "cungan",
        "村组干部",
        Xlsx,
        A,
        &[
            ("姓名", Name),
            ("身份证号", Id),
            ("性别", Sex),
            ("出生日期", BirthDashed),
            ("乡镇", Township),
            ("村", Village),
        ],
        &["职务", "任职状态"],
    );
    add(
        "shebao",
        "社会保险",
        Gb18030,
        A,
        &[
            ("证件号码", Id),
            ("姓名", Name),
            ("性别", SexCode),
            ("户籍地址", Address),
        ],
        &["险种", "月缴费基数", "月待遇", "参保状态"],
    );
    add(
        "gongjijin",
        "住房公积金",
        Utf8,
        A,
        &[("缴存人", Name), ("证件号码", Id), ("手机", Phone)],
        &["月缴存额", "账户状态"],
    );
    add(
        "shuiwu",
        "个税申报",
        Utf8,
        B,
        &[("纳税人姓名", Name), ("证件号码", Id)],
        &["年收入额", "年度"],
    );
    add(
        "gongshang",
        "市场主体",
        Gb18030,
        B,
        &[("姓名", Name), ("证件号码", Id), ("住所", Address)],
        &[
            "任职身份",
            "主体类型",
            "认缴出资额（万元）",
            "成立日期",
            "登记状态",
        ],
    );
    add(
        "tekun",
        "特困供养",
        Xlsx,
        C,
        &[
            ("供养对象", Name),
            ("身份证号", Id),
            ("性别", Sex),
            ("出生日期", BirthDashed),
            ("乡镇", Township),
            ("村", Village),
        ],
        &["供养方式", "起始日期", "终止日期"],
    );
    add(
        "linshi",
        "临时救助",
        Xlsx,
        C,
        &[
            ("姓名", Name),
            ("身份证号", Id),
            ("性别", Sex),
            ("出生日期", BirthDashed),
            ("乡镇", Township),
            ("村", Village),
        ],
        &["救助类别", "金额", "发放日期"],
    );
    add(
        "hunyin",
        "婚姻登记",
        Gb18030,
        B,
        &[("姓名", Name), ("证件号码", Id), ("出生日期", Birth)],
        &["登记字号", "登记日期", "登记类型"],
    );
    all
}

/// Words as cells.
pub fn cells(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Facts of a vehicle.
pub fn vehicle(
    number: usize,
    plate: &str,
    kind: &str,
    usage: &str,
    since: u32,
    state: &str,
) -> Vec<String> {
    cells(&[
        plate,
        &format!("鄂E{:05}", number % 100_000),
        kind,
        usage,
        &dashed(since),
        state,
    ])
}

/// Facts of a house.
pub fn house(
    number: usize,
    usage: &str,
    share: &str,
    how: &str,
    since: u32,
    state: &str,
) -> Vec<String> {
    let unit = format!("420525-{number:09}");
    cells(&[&unit, usage, "98.5", share, how, &dashed(since), state])
}

/// Facts of a machine.
pub fn machine(subsidy: u32, day: u32) -> Vec<String> {
    let kind = if subsidy >= 20_000 {
        "轮式拖拉机"
    } else {
        "微耕机"
    };
    cells(&[kind, &subsidy.to_string(), &dashed(day)])
}

/// Facts of a forestry payment.
pub fn forest(amount: u32, year: u32) -> Vec<String> {
    cells(&[
        &format!("{:.1}", f64::from(amount) / 75.0),
        &amount.to_string(),
        &year.to_string(),
    ])
}

/// Facts of a business.
pub fn business(role: &str, kind: &str, capital: u32, since: u32, state: &str) -> Vec<String> {
    cells(&[role, kind, &capital.to_string(), &dashed(since), state])
}

/// `YYYY-MM-DD`.
pub fn dashed(day: u32) -> String {
    format!("{}-{:02}-{:02}", day / 10_000, day / 100 % 100, day % 100)
}
