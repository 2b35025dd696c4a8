"""The hops of a chain: the links between them, a later hop, and the programs that run and set up one."""
