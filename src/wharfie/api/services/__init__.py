"""What stands between routes and the lower levels where those know nothing of the API's types.

Images, volumes and networks have domain types of their own; here they become wire types, containers that
use them are looked up, and what happened to them is told to the event stream.
"""
