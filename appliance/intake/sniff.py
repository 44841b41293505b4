"""What is ignored before anything is parsed: unfinished transfers by their name, other files by their first bytes."""

from appliance.imaging.sniffing import FIRST_BYTES, is_temp_name, may_be_dicom, sniff

__all__ = ["FIRST_BYTES", "is_temp_name", "may_be_dicom", "sniff"]
