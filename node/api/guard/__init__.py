"""What stands between the network and the API: who may ask, how much, in what form, how slowly."""
