"""Jobs: config -> prepared job -> finished dataset."""
