"""What people see: tables, notebook views and progress bars made of plain values."""
