"""The page in real browsers; a package, so that the browser is closed when its last test is done."""
