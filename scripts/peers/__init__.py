"""One gas in several programs: each module `*_gas` drives one of them, always in the same few words."""
