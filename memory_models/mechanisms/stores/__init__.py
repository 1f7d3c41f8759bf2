"""What keeps past steps, segments or items, and how it is read; above the scans."""
