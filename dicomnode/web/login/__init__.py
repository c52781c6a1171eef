"""How somebody proves who they are: passwords, how often they are tried, and OpenID Connect.

Knows no request: `pages/login.py` and `pages/openid.py` do.
"""
