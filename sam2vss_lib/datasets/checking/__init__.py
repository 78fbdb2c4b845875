"""Whether a data set is whole: every clip, frame, mask and checksum."""
