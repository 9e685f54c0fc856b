// Replaced by RunReport+Run.swift.
