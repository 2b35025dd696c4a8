"""What a desktop is told and asked: notifications, its colours, its menu."""
