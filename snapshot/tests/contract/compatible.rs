//! The descriptors of today read and write all that those of the frozen contract do.

use std::collections::BTreeMap;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
};

/// The descriptors of the code, without comments and places: these may change.
fn current() -> FileDescriptorSet {
    let mut set = FileDescriptorSet::decode(sallyport_snapshot::DESCRIPTORS).unwrap();
    for file in &mut set.file {
        file.source_code_info = None;
    }
    set
}

/// All that a set describes, by full name.
#[derive(Default)]
struct Described<'a> {
    messages: BTreeMap<String, &'a DescriptorProto>,
    enums: BTreeMap<String, &'a EnumDescriptorProto>,
    services: BTreeMap<String, &'a ServiceDescriptorProto>,
}

impl<'a> Described<'a> {
    fn of(set: &'a FileDescriptorSet) -> Self {
        let mut described = Self::default();
        for file in &set.file {
            let scope = format!(".{}", file.package());
            file.message_type.iter().for_each(|message| described.message(&scope, message));
            file.enum_type.iter().for_each(|one| described.enumeration(&scope, one));
            let services = file.service.iter().map(|one| (format!("{scope}.{}", one.name()), one));
            described.services.extend(services);
        }
        described
    }

    fn message(&mut self, scope: &str, message: &'a DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        message.nested_type.iter().for_each(|nested| self.message(&name, nested));
        message.enum_type.iter().for_each(|one| self.enumeration(&name, one));
        self.messages.insert(name, message);
    }

    fn enumeration(&mut self, scope: &str, one: &'a EnumDescriptorProto) {
        self.enums.insert(format!("{scope}.{}", one.name()), one);
    }
}

/// All by which `now` would not read what `frozen` writes, or the other way round.
fn breaches(frozen: &FileDescriptorSet, now: &FileDescriptorSet) -> Vec<String> {
    let (frozen, now) = (Described::of(frozen), Described::of(now));
    let mut found = Vec::new();
    for (name, before) in &frozen.messages {
        match now.messages.get(name) {
            Some(after) => of_message(name, before, after, &mut found),
            None => found.push(format!("message {name} is gone")),
        }
    }
    for (name, before) in &frozen.enums {
        let values = now.enums.get(name).map_or(&[][..], |after| &after.value);
        for value in &before.value {
            let same = values.iter().find(|one| one.number() == value.number());
            if same.is_none_or(|one| one.name() != value.name()) {
                found.push(format!("value {} of {name} is gone, or has another number", value.name()));
            }
        }
    }
    for (name, before) in &frozen.services {
        let methods = now.services.get(name).map_or(&[][..], |after| &after.method);
        for method in &before.method {
            if !methods.contains(method) {
                found.push(format!("method {} of {name} is gone, or takes or gives something else", method.name()));
            }
        }
    }
    found
}

fn of_message(name: &str, before: &DescriptorProto, after: &DescriptorProto, found: &mut Vec<String>) {
    for field in &before.field {
        let same = after.field.iter().find(|one| one.number() == field.number());
        match same {
            Some(same) if shape(before, field) == shape(after, same) => {}
            Some(_) => found.push(format!("field {} of {name} is another", field.number())),
            None => found.push(format!("field {} of {name} is gone", field.number())),
        }
    }
    let is_new = |field: &&FieldDescriptorProto| before.field.iter().all(|one| one.number() != field.number());
    for field in after.field.iter().filter(is_new) {
        let is_reserved = |range: &prost_types::descriptor_proto::ReservedRange| {
            (range.start()..range.end()).contains(&field.number())
        };
        if before.reserved_range.iter().any(is_reserved) {
            found.push(format!("field {} of {name} has a number that was given up", field.number()));
        }
    }
}

/// What a field is on the wire, and in the code that reads it.
type Shape<'a> = (&'a str, Type, Label, &'a str, Option<&'a str>, bool);

fn shape<'a>(message: &'a DescriptorProto, field: &'a FieldDescriptorProto) -> Shape<'a> {
    let union = field.oneof_index.and_then(|index| message.oneof_decl.get(usize::try_from(index).unwrap()));
    let union = union.map(|union| union.name());
    (field.name(), field.r#type(), field.label(), field.type_name(), union, field.proto3_optional())
}

#[test]
fn nothing_that_was_frozen_has_changed_and_what_was_added_is_frozen() {
    let now = current();
    let frozen = FileDescriptorSet::decode(super::frozen("v1.binpb", &now.encode_to_vec()).as_slice()).unwrap();
    assert!(Described::of(&frozen).messages.len() > 50, "it is all there");
    assert_eq!(breaches(&frozen, &now), Vec::<String>::new());
    if super::is_asked_to_freeze() {
        std::fs::write(super::file("v1.binpb"), now.encode_to_vec()).unwrap();
    } else {
        assert!(frozen == now, "something was added: UPDATE_GOLDEN=1 freezes it");
    }
}

/// The contract, changed in one message, enum or service.
fn changed(change: impl Fn(&mut FileDescriptorSet)) -> Vec<String> {
    let (frozen, mut now) = (current(), current());
    change(&mut now);
    breaches(&frozen, &now)
}

fn message<'a>(set: &'a mut FileDescriptorSet, name: &str) -> &'a mut DescriptorProto {
    let mut messages = set.file.iter_mut().flat_map(|file| &mut file.message_type);
    messages.find(|message| message.name() == name).unwrap()
}

#[test]
fn what_is_added_is_no_breach() {
    let found = changed(|set| {
        let field = message(set, "Hello").field[2].clone();
        let field = FieldDescriptorProto { number: Some(77), name: Some("new".into()), ..field };
        message(set, "Hello").field.push(field);
        set.file[0].message_type.push(DescriptorProto { name: Some("New".into()), ..DescriptorProto::default() });
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_breach_is_found() {
    type Change = fn(&mut FileDescriptorSet);
    let changes: [(&str, Change); 11] = [
        ("a message is gone", |set| {
            for file in &mut set.file {
                file.message_type.retain(|message| message.name() != "Ack");
            }
        }),
        ("a field is gone", |set| drop(message(set, "Hello").field.remove(0))),
        ("a number is another", |set| message(set, "Hello").field[2].number = Some(9)),
        ("a name is another", |set| message(set, "Hello").field[2].name = Some("less".into())),
        ("a type is another", |set| message(set, "Update").field[0].set_type(Type::Sint64)),
        ("another message", |set| {
            message(set, "Hello").field[0].type_name = Some(".sallyport.snapshot.v1.Rejected".into());
        }),
        ("a list is one", |set| message(set, "Hello").field[0].set_label(Label::Optional)),
        ("out of the union", |set| message(set, "Message").field[0].oneof_index = None),
        ("a kind is gone", |set| {
            for one in set.file.iter_mut().flat_map(|file| &mut file.enum_type) {
                one.value.retain(|value| value.name() != "KIND_ROUTE");
            }
        }),
        ("a method is gone", |set| {
            for one in set.file.iter_mut().flat_map(|file| &mut file.service) {
                one.method.clear();
            }
        }),
        ("a method takes one message", |set| {
            for one in set.file.iter_mut().flat_map(|file| &mut file.service) {
                one.method[0].client_streaming = Some(!one.method[0].client_streaming());
            }
        }),
    ];
    for (what, change) in changes {
        assert!(!changed(change).is_empty(), "{what}");
    }
}

#[test]
fn a_number_that_was_given_up_is_not_used_again() {
    let (mut frozen, now) = (current(), current());
    let field = message(&mut frozen, "Hello").field.pop().unwrap();
    let range = prost_types::descriptor_proto::ReservedRange {
        start: field.number,
        end: field.number.map(|number| number + 1),
    };
    message(&mut frozen, "Hello").reserved_range.push(range);
    assert_eq!(breaches(&frozen, &now).len(), 1);
}
