//! Joins the modules of a page into one script, so that a page takes four requests and not thirty: a client may send 60 at once, and
//! behind one address there may be many people.
//!
//! It knows as much of JavaScript as our own modules use: each import is a line of its own at their beginning, with names in braces,
//! and what is exported is declared at the beginning of a line.

use std::fmt::Write;

/// Returns one script that does what the module `entry` does. `source` returns the text of a module by its name.
///
/// # Panics
/// If a module is missing, or imports itself by way of others.
pub(super) fn bundle(entry: &str, source: &dyn Fn(&str) -> &'static str) -> String {
    let mut bundler = Bundler {
        source,
        begun: Vec::new(),
        done: Vec::new(),
        script: String::new(),
    };
    let main = bundler.module(entry);
    bundler.script.push_str(&main.text);
    bundler.script
}

struct Bundler<'a> {
    source: &'a dyn Fn(&str) -> &'static str,
    /// The modules that wait for those that they import.
    begun: Vec<String>,
    /// The modules that are in the script.
    done: Vec<String>,
    script: String,
}

/// A module without its imports and exports.
struct Module {
    text: String,
    exports: Vec<String>,
}

impl Bundler<'_> {
    /// Adds the modules that this one imports, and returns what it is itself, with the names that it imports declared.
    fn module(&mut self, name: &str) -> Module {
        let is_circle = self.begun.iter().any(|begun| begun == name);
        assert!(!is_circle, "the module {name} imports itself by way of others");
        self.begun.push(name.to_owned());
        let mut module = Module {
            text: String::new(),
            exports: Vec::new(),
        };
        for line in (self.source)(name).lines() {
            if let Some((names, from)) = import(line) {
                self.add(from);
                let names = names.replace(" as ", ": ");
                let _ = writeln!(module.text, "const {{{names}}} = {};", variable(from));
            } else {
                let declaration = line.strip_prefix("export ");
                module.exports.extend(declaration.and_then(declared));
                module.text.push_str(declaration.unwrap_or(line));
                module.text.push('\n');
            }
        }
        self.begun.pop();
        module
    }

    /// Adds a module as the value of a variable, an object of what it exports, unless it is there.
    fn add(&mut self, name: &str) {
        if self.done.iter().any(|done| done == name) {
            return;
        }
        let Module { text, exports } = self.module(name);
        let (variable, exports) = (variable(name), exports.join(", "));
        let _ = writeln!(
            self.script,
            "const {variable} = (() => {{\n{text}return {{ {exports} }};\n}})();"
        );
        self.done.push(name.to_owned());
    }
}

/// Returns the names that a line imports, and the name of the module.
fn import(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("import {")?;
    let (names, from) = rest.split_once("} from \"./")?;
    Some((names, from.strip_suffix("\";")?))
}

/// Returns the name that a line declares.
fn declared(line: &str) -> Option<String> {
    let kinds = ["const ", "class ", "function ", "async function "];
    let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_' && it != '$')?;
    Some(rest[..end].to_owned())
}

/// Returns the variable of a module. No module has names with such a beginning.
fn variable(module: &str) -> String {
    format!("module_{}", module.trim_end_matches(".js"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str) -> &'static str {
        match name {
            "main.js" => {
                "import { b as c } from \"./b.js\";\nimport { a } from \"./a.js\";\n\nc(a);\nawait a;\n"
            }
            "b.js" => {
                "import { a } from \"./a.js\";\nexport async function b(x) {\n  return `\nimport x\n${a}`;\n}\n"
            }
            "a.js" => "const own = 1;\nexport const a = own;\n",
            "x.js" => "import { y } from \"./y.js\";\n",
            "y.js" => "import { x } from \"./x.js\";\n",
            _ => panic!("no such module"),
        }
    }

    #[test]
    fn each_module_is_there_once_behind_those_that_it_imports() {
        let expected = "const module_a = (() => {\nconst own = 1;\nconst a = own;\nreturn { a };\n})();\n\
                        const module_b = (() => {\nconst { a } = module_a;\nasync function b(x) {\n  return `\nimport x\n${a}`;\n}\n\
                        return { b };\n})();\n\
                        const { b: c } = module_b;\nconst { a } = module_a;\n\nc(a);\nawait a;\n";
        assert_eq!(bundle("main.js", &source), expected);
    }

    #[test]
    #[should_panic(expected = "imports itself")]
    fn a_circle_is_refused() {
        bundle("x.js", &source);
    }
}
