//! Names: variables of macros, and fields of objects.

use super::{Checked, Checker, Complaint, complain};
use crate::declared::{Field, Object, ROOTS};
use crate::program::Step;
use crate::tree::{Constant, Node, Tree};
use crate::typing::Type;

/// What a name of several parts leads to.
pub(super) struct Path {
    pub end: End,
    /// Whether a part of it was asked for with `.?`.
    is_optional: bool,
}

pub(super) enum End {
    /// An object, and the field that it is.
    Object(Object, Option<Field>),
    Field(Field),
}

impl Checker<'_> {
    pub(super) fn name(&mut self, tree: &Tree, name: &str) -> Checked {
        if let Some(at) = self.locals.iter().rposition(|(local, _)| local == name) {
            let of = self.locals.get(at).map_or(Type::Dyn, |(_, of)| of.clone());
            return Ok((Step::Local(at), of));
        }
        match self.path(tree)? {
            Some(path) => self.at_end(tree, path),
            None => {
                let roots: Vec<_> = ROOTS.iter().map(|(name, _)| *name).collect();
                Err(complain(tree, format!("{name} is not known; there are {}", roots.join(", "))))
            }
        }
    }

    pub(super) fn select(&mut self, tree: &Tree, operand: &Tree, field: &str, is_test: bool) -> Checked {
        if is_test {
            return self.test(tree, operand, field);
        }
        match self.path(tree)? {
            Some(path) => self.at_end(tree, path),
            None => {
                let (from, of) = self.step(operand)?;
                let (gives, is_optional) = entry(tree, of, field)?;
                let (from, field) = (Box::new(from), field.into());
                Ok(if is_optional {
                    (Step::OptionalEntry(from, field), Type::optional(gives))
                } else {
                    (Step::Entry(from, field), gives)
                })
            }
        }
    }

    /// `operand.?field`
    pub(super) fn optional_select(&mut self, tree: &Tree, operand: &Tree, field: &str) -> Checked {
        match self.path(tree)? {
            Some(path) => self.at_end(tree, path),
            None => {
                let (from, of) = self.step(operand)?;
                let (gives, _) = entry(tree, of, field)?;
                Ok((Step::OptionalEntry(Box::new(from), field.into()), Type::optional(gives)))
            }
        }
    }

    /// `has(operand.field)`
    fn test(&mut self, tree: &Tree, operand: &Tree, field: &str) -> Checked {
        if let Some(Path { end: End::Object(object, _), .. }) = self.path(operand)? {
            let field = find(tree, object, field)?;
            self.reads.insert(field);
            return Ok((Step::HasField(field), Type::Bool));
        }
        let (from, of) = self.step(operand)?;
        entry(tree, of, field)?;
        Ok((Step::HasEntry(Box::new(from), field.into()), Type::Bool))
    }

    /// What `tree` names, if it is a name that begins with an object.
    pub(super) fn path(&self, tree: &Tree) -> Result<Option<Path>, Complaint> {
        let (operand, field, is_optional) = match &tree.node {
            Node::Name(name) if !self.locals.iter().any(|(local, _)| local == name) => {
                let root = ROOTS.iter().find(|(root, _)| root == name);
                return Ok(root.map(|(_, object)| Path { end: End::Object(*object, None), is_optional: false }));
            }
            Node::Select { operand, field, is_test: false } => (&**operand, field.as_str(), false),
            Node::Call { function, arguments, .. } => match (function.as_str(), arguments.as_slice()) {
                ("_?._", [operand, Tree { node: Node::Constant(Constant::Text(field)), .. }]) => {
                    (operand, field.as_str(), true)
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Some(path) = self.path(operand)? else { return Ok(None) };
        let End::Object(object, _) = path.end else { return Ok(None) };
        let field = find(tree, object, field)?;
        let end = field.object().map_or(End::Field(field), |object| End::Object(object, Some(field)));
        Ok(Some(Path { end, is_optional: path.is_optional || is_optional }))
    }

    fn at_end(&mut self, tree: &Tree, path: Path) -> Checked {
        match path.end {
            End::Field(field) => {
                self.reads.insert(field);
                let of = field.declaration().of;
                Ok(if path.is_optional {
                    (Step::OptionalField(field), Type::optional(of))
                } else {
                    (Step::Field(field), of)
                })
            }
            End::Object(object, _) => {
                let fields: Vec<_> = object.fields().collect();
                let message = format!("{} is no value by itself; select one of {}", object.name(), fields.join(", "));
                Err(complain(tree, message))
            }
        }
    }
}

fn find(tree: &Tree, object: Object, name: &str) -> Result<Field, Complaint> {
    object.field(name).ok_or_else(|| {
        let fields: Vec<_> = object.fields().collect();
        complain(tree, format!("{} has no field {name}; it has {}", object.name(), fields.join(", ")))
    })
}

/// What stands in something of type `of` under a name, and whether that is optional because `of` is.
fn entry(tree: &Tree, of: Type, field: &str) -> Result<(Type, bool), Complaint> {
    match of {
        Type::Dyn | Type::Any(_) => Ok((Type::Dyn, false)),
        Type::Map(key, value) if key.may_be(&Type::Text) => Ok((*value, false)),
        Type::Optional(of) => Ok((entry(tree, *of, field)?.0, true)),
        other => Err(complain(tree, format!("{other} has no fields, and so no {field}"))),
    }
}
