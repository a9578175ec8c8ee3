"""The tests of Parley. Folders mirror the packages; `servers` starts what runs beside a test."""
