"""From the rows of files and of hub data sets to items, whatever shape they come in."""
