//! Encoding: exactly the frames that one segment owns, with the settings of the recipe.
