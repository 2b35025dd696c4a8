"""The whole program in one command: servers, people and what the network sees of them."""
