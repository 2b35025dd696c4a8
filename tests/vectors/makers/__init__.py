"""Makes the files of vectors, one function a file, with nothing but the reference."""
