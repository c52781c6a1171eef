"""What is drawn for people: pictures with a panel, pages, and the letters in both."""
