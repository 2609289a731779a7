"""./dev audit: checks what must always hold against the live stores (docs/system-design.md)."""
