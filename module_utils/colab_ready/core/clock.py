# Copyright (c) 2026, the colab-ready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A clock that is wrong: how programs complain of it, and how it is set. WSL's stands still while Windows sleeps."""

from __future__ import annotations

# uv (rustls), pip and urllib (OpenSSL), apt (GnuTLS and its own words, gpgv and sqv).
NOT_YET = (
    r"not valid yet|not yet valid|not yet activated|not live until|created in the future|issued in the future|"
    r"certificate used before activation"
)
NO_LONGER = r"certificate(?: has)? expired|expired certificate|certificate is no longer valid|^E: Release file for \S+ is expired"
TRUE_TIME = "a clock that shows the right date and time"
SET_CLOCK = (
    "compare `date` with the true time; if it is off, set it (WSL: sudo hwclock -s, or wsl --shutdown in PowerShell; elsewhere: "
    "sudo timedatectl set-ntp true, or sudo date -s '2026-12-31 23:59')"
)
