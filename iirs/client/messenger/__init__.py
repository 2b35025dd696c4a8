"""What a person does with others: conversations and their slots, files, groups, contacts."""
