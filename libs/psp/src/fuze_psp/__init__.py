"""Payment service providers: what Fuze requires of one, and a folder for each provider.

To add a provider: write its folder (client, mapping, settings, webhook) after the example of
`sandbox` or `stripe`, name it in `settings.PaymentProviderName`, and list it in `registry`.
"""
