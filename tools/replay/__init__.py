"""./dev replay: books real appointments through the public API."""
