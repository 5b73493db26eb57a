-- Every complete response as it was delivered, in the order of the files.

SELECT
  {{ pseudonym('RESPONSE', '"Responsnummer"') }} AS response_id,
  {{ pseudonym('RESPONDENT', '"Klantnummer"') }} AS respondent_id,
  "Organisatie" AS organisation_code,
  strptime("Contactdatum", '%d-%m-%Y')::DATE AS answered_on,
  CASE "Kanaal" WHEN 'Balie' THEN 'physical' WHEN 'Telefoon' THEN 'phone' WHEN 'E-mail' THEN 'email'
    WHEN 'Website' THEN 'web' WHEN 'Chat' THEN 'chat' WHEN 'Post' THEN 'post' END AS channel_code,
  CASE "Geïnterviewd via" WHEN 'web' THEN 'web' WHEN 'telefoon' THEN 'phone' WHEN 'papier' THEN 'paper' END
    AS mode_code,
  {{ grade('"Cijfer contact"') }} AS channel_rating,
  {{ point('"Aanbeveling (0-10)"') }} AS recommendation,
  CASE WHEN "Cijfer klachtafhandeling" IS DISTINCT FROM 'n.v.t.'
    THEN {{ grade('"Cijfer klachtafhandeling"') }} END AS complaint_handling
FROM read_csv('{{ env_var("BENCHMARK_RAW") }}/klantcontact_customers/*.csv', delim = ';', quote = '"', header = true,
  auto_detect = false, columns = {
  'Responsnummer': 'VARCHAR', 'Klantnummer': 'VARCHAR', 'Organisatie': 'VARCHAR', 'Contactdatum': 'VARCHAR',
  'Kanaal': 'VARCHAR', 'Cijfer contact': 'VARCHAR', 'Aanbeveling (0-10)': 'VARCHAR',
  'Cijfer klachtafhandeling': 'VARCHAR', 'Geïnterviewd via': 'VARCHAR', 'Status': 'VARCHAR',
  'Naam': 'VARCHAR', 'E-mailadres': 'VARCHAR', 'Postcode': 'VARCHAR', 'Toelichting': 'VARCHAR'})
WHERE "Status" = 'compleet'
