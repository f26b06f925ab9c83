//! The demo: an attribute API and a page with a widget, to try everything on one machine.
