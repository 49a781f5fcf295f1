"""The comparison: settings × seeds → runs → report."""
