"""Pictures and QR codes, decoded where they can do no harm."""
