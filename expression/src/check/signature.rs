//! Which ways to call a function fit what it is called with.

use crate::functions::Overload;
use crate::typing::Type;

/// What stands for each `Any` of a signature.
#[derive(Default)]
struct Bound([Option<Type>; 2]);

/// What `overload` gives where it is called with such arguments.
pub(super) fn gives(overload: &Overload, arguments: &[Type]) -> Option<Type> {
    let mut bound = Bound::default();
    let fits = overload.takes.len() == arguments.len()
        && overload.takes.iter().zip(arguments).all(|(takes, argument)| bound.takes(takes, argument));
    fits.then(|| bound.whole(&overload.gives))
}

impl Bound {
    fn takes(&mut self, takes: &Type, argument: &Type) -> bool {
        match (takes, argument) {
            (Type::Any(at), argument) => self.bind(*at, argument),
            (_, Type::Dyn | Type::Any(_)) => true,
            (Type::List(takes), Type::List(argument)) | (Type::Optional(takes), Type::Optional(argument)) => {
                self.takes(takes, argument)
            }
            (Type::Map(key, value), Type::Map(of_key, of_value)) => {
                self.takes(key, of_key) && self.takes(value, of_value)
            }
            (takes, argument) => takes == argument,
        }
    }

    fn bind(&mut self, at: u8, argument: &Type) -> bool {
        let Some(place) = self.0.get_mut(usize::from(at)) else { return true };
        match place.take() {
            None => *place = Some(argument.clone()),
            Some(known) if known.may_be(argument) => *place = Some(known.or(argument)),
            Some(_) => return false,
        }
        true
    }

    /// `gives` with what is known in it.
    fn whole(&self, gives: &Type) -> Type {
        match gives {
            Type::Any(at) => self.0.get(usize::from(*at)).cloned().flatten().unwrap_or(Type::Dyn),
            Type::List(item) => Type::list(self.whole(item)),
            Type::Optional(of) => Type::optional(self.whole(of)),
            Type::Map(key, value) => Type::Map(Box::new(self.whole(key)), Box::new(self.whole(value))),
            other => other.clone(),
        }
    }
}
