//! The wikis of the demo, with page titles and vocabulary in several scripts.
//!
//! Not here: how changes are put together from it (`changes`).

use fastrand::Rng;

/// A wiki, and the vocabulary of its changes.
pub(super) struct Wiki {
    /// Database name.
    pub(super) name: &'static str,
    /// Domain on which it is served.
    pub(super) domain: &'static str,
    /// Share of all changes, in percent: roughly that of the real wiki.
    pub(super) share: u32,
    /// Changes made by bots, in percent.
    pub(super) bots: u8,
    /// Name of the talk namespace, in the wiki's language.
    pub(super) talk: &'static str,
    /// Name of the category namespace, in the wiki's language.
    pub(super) category: &'static str,
    /// Page titles.
    pub(super) titles: &'static [&'static str],
    /// Section headings.
    pub(super) sections: &'static [&'static str],
    /// Edit summaries.
    pub(super) remarks: &'static [&'static str],
    /// User names.
    pub(super) users: &'static [&'static str],
}

impl Wiki {
    /// Returns the index of a wiki in [`WIKIS`], chosen by share.
    pub(super) fn pick(rng: &mut Rng) -> usize {
        let mut percent = rng.u32(0..100);
        for (index, wiki) in WIKIS.iter().enumerate() {
            match percent.checked_sub(wiki.share) {
                Some(rest) => percent = rest,
                None => return index,
            }
        }
        0
    }
}

/// All wikis. Their shares add up to 100.
pub(super) const WIKIS: &[Wiki] = &[
    Wiki {
        name: "wikidatawiki",
        domain: "www.wikidata.org",
        share: 30,
        bots: 60,
        talk: "Talk",
        category: "Category",
        titles: &[
            "Q42",
            "Q64",
            "Q90",
            "Q1985727",
            "Q29168811",
            "Q104813412",
            "Q12198",
            "Q87263831",
        ],
        sections: &[
            "wbsetclaim-create:2||1",
            "wbeditentity-update-languages-short:0||es",
            "wbsetlabel-add:1|uk",
        ],
        remarks: &[
            "[[Property:P31]]: [[Q5]], adding missing statement",
            "BOT - Adding descriptions (12 languages): ast, bg, cs, de, el, es, fr, he, it, pl, ru, uk",
            "Київська обласна рада, [[:toollabs:quickstatements/#/batch/218834|batch #218834]]",
        ],
        users: &[
            "Emendobot",
            "QuickStatementsHelper",
            "Mariana V.",
            "LabelLister",
            "Данило К",
        ],
    },
    Wiki {
        name: "commonswiki",
        domain: "commons.wikimedia.org",
        share: 20,
        bots: 35,
        talk: "Talk",
        category: "Category",
        titles: &[
            "File:Kölner Dom, Südansicht bei Nacht (2024).jpg",
            "File:東京タワー 2023-11-04.jpg",
            "File:Vista de la bahía de Cádiz 07.jpg",
            "File:Delonix regia flowers, Kerala.jpg",
            "File:Санкт-Петербург, Невский проспект 28.jpg",
        ],
        sections: &[
            "wbsetclaim-update:2||1|1",
            "Summary",
            "Licensing",
            "wbsetlabel-add:1|en",
        ],
        remarks: &[
            "added [[Category:Featured pictures]] with Cat-a-lot",
            "cropped 12 % horizontally, 4 % vertically using CropTool with precise mode",
            "[[Property:P180]]: [[Q4176]], depicts suggested by an editor",
        ],
        users: &["Fotobot", "J. Álvarez", "写真家", "CatSorter", "Ewa z Gdyni"],
    },
    Wiki {
        name: "enwiki",
        domain: "en.wikipedia.org",
        share: 22,
        bots: 12,
        talk: "Talk",
        category: "Category",
        titles: &[
            "Apache Kafka",
            "Guillemot",
            "Tour de France",
            "List of bridges in Prague",
            "Björk",
            "Rock 'n' roll",
            "2026 in science",
            "Gödel's incompleteness theorems",
        ],
        sections: &[
            "History",
            "Early life",
            "References",
            "See also",
            "Notes and citations",
        ],
        remarks: &[
            "Added a citation; the quoted \"first in Europe\" claim was unsourced",
            "Copyedit: tense, en dashes and a stray comma – no change of meaning 🙂",
            "Reverting edit(s) by an anonymous user to the last revision by [[User:Old Hand]]: unexplained removal",
            "Rescuing 3 sources and tagging 1 as dead. #archive",
        ],
        users: &[
            "CitationFixer",
            "Old Hand",
            "ArchiveRescueBot",
            "~2026-18342-07",
            "192.0.2.117",
            "Zoë Quill",
        ],
    },
    Wiki {
        name: "dewiki",
        domain: "de.wikipedia.org",
        share: 7,
        bots: 8,
        talk: "Diskussion",
        category: "Kategorie",
        titles: &[
            "Straßenbahn Görlitz",
            "Ägyptische Mythologie",
            "Liste der Flüsse in Österreich",
            "Übermut",
        ],
        sections: &["Geschichte", "Überblick", "Einzelnachweise", "Größe und Länge"],
        remarks: &[
            "Änderung rückgängig gemacht, bitte mit Beleg: siehe [[Wikipedia:Belege]]",
            "Tippfehler entfernt, Grüße aus Köln",
        ],
        users: &["Käthe Möbius", "Lesefuchs", "Tippfehlerbot", "198.51.100.23"],
    },
    Wiki {
        name: "frwiki",
        domain: "fr.wikipedia.org",
        share: 6,
        bots: 9,
        talk: "Discussion",
        category: "Catégorie",
        titles: &[
            "Chênaie",
            "Île de Ré",
            "Championnat d'Europe d'échecs",
            "Cœur de pierre",
        ],
        sections: &["Biographie", "Œuvres", "Notes et références", "Voir aussi"],
        remarks: &[
            "Réponse à la remarque d'hier : référence ajoutée, voir « [[Île de Ré]] »",
            "Annulation de la modification, source nécessaire",
        ],
        users: &["Hélène du Lac", "Salsero bot", "~2026-20011-44"],
    },
    Wiki {
        name: "ruwiki",
        domain: "ru.wikipedia.org",
        share: 5,
        bots: 10,
        talk: "Обсуждение",
        category: "Категория",
        titles: &["Ёжик в тумане", "Транссибирская магистраль", "Список рек Карелии"],
        sections: &["История", "Примечания", "Ссылки"],
        remarks: &[
            "уточнение, источник [[Большая российская энциклопедия]]",
            "исправление опечаток",
        ],
        users: &["Книгочей", "РобоПравка", "203.0.113.9"],
    },
    Wiki {
        name: "jawiki",
        domain: "ja.wikipedia.org",
        share: 4,
        bots: 6,
        talk: "ノート",
        category: "Category",
        titles: &["東海道新幹線", "源氏物語", "𠮷野家", "富士山"],
        sections: &["概要", "歴史", "脚注", "関連項目"],
        remarks: &[
            "出典を追加、[[源氏物語]]へのリンクを修正",
            "誤字脱字の修正をしました",
        ],
        users: &["山田の案山子", "脚注ボット", "~2026-19120-88"],
    },
    Wiki {
        name: "arwiki",
        domain: "ar.wikipedia.org",
        share: 3,
        bots: 40,
        talk: "نقاش",
        category: "تصنيف",
        titles: &["نهر النيل", "تاريخ الأندلس", "قائمة مدن المغرب"],
        sections: &["التاريخ", "مراجع"],
        remarks: &["بوت: إصلاح [[ويكيبيديا:توثيق|التوثيق]]", "إضافة مصدر وتدقيق لغوي"],
        users: &["بوت التدقيق", "ليلى"],
    },
    Wiki {
        name: "hewiki",
        domain: "he.wikipedia.org",
        share: 2,
        bots: 15,
        talk: "שיחה",
        category: "קטגוריה",
        titles: &["תל אביב-יפו", "ים המלח", "נתוני מדינות"],
        sections: &["היסטוריה", "הערות שוליים"],
        remarks: &["הוספת מקור ל[[ים המלח]]", "עריכה לשונית"],
        users: &["עורכת ותיקה", "בוט קישורים"],
    },
    Wiki {
        name: "eswiktionary",
        domain: "es.wiktionary.org",
        share: 1,
        bots: 20,
        talk: "Discusión",
        category: "Categoría",
        titles: &["ñandú", "güero", "¡ánimo!"],
        sections: &["Etimología", "Traducciones"],
        remarks: &[
            "traducción añadida: [[ñandú]] en guaraní",
            "corrijo la pronunciación",
        ],
        users: &["Lexicógrafa", "EnlaceBot"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_make_a_hundred_so_that_none_is_cut_off() {
        assert_eq!(WIKIS.iter().map(|wiki| wiki.share).sum::<u32>(), 100);
    }

    #[test]
    fn every_wiki_gets_about_its_share() {
        let mut rng = Rng::with_seed(1);
        let mut counts = vec![0u32; WIKIS.len()];
        for _ in 0..10_000 {
            counts[Wiki::pick(&mut rng)] += 1;
        }
        for (wiki, count) in WIKIS.iter().zip(counts) {
            assert!(count.abs_diff(wiki.share * 100) < 200, "{}: {count}", wiki.name);
        }
    }
}
